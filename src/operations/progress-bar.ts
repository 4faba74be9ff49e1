import { Presets, SingleBar } from 'cli-progress'
import type { Progress } from './download.ts'

/**
 * Shows how something comes on: a bar on a terminal; elsewhere, in a log say, a line at its start and at each tenth.
 * `begin` starts the next thing, `end` leaves the last bar as it stands.
 */
export function progressBar(out: NodeJS.WriteStream): { begin: (name: string) => Progress; end: () => void } {
  let bar: SingleBar | undefined
  const end = () => bar?.stop()

  function begin(name: string): Progress {
    end()
    if (!out.isTTY) return lines(name, out)
    const fresh = new SingleBar(
      { stream: out, format: `${name} {bar} {percentage}% ({value} of {total})`, hideCursor: true },
      Presets.shades_classic,
    )
    bar = fresh
    let begun = false
    return (done, total) => {
      if (begun) return fresh.update(done)
      begun = true
      fresh.start(total ?? 0, done)
    }
  }
  return { begin, end }
}

function lines(name: string, out: NodeJS.WritableStream): Progress {
  let said = -1
  return (done, total) => {
    const tenth = total ? Math.floor((10 * done) / total) : 0
    if (tenth <= said) return
    said = tenth
    out.write(total ? `${name}: ${10 * tenth}% of ${total}\n` : `${name}: begun, of unknown size\n`)
  }
}
