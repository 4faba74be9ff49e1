import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'

const run = promisify(execFile)
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-home-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Runs a program whose user's home is the folder of this test; returns what it printed. */
async function runAtHome(program: string): Promise<string> {
  // No evaluated text: a worker thread would take that for its own.
  const file = join(folder, 'program.mjs')
  await writeFile(file, program)
  const { stdout } = await run(process.execPath, [file], {
    // Nothing else: on machines that build and test, the library is silent of itself.
    env: { PATH: process.env.PATH, HOME: folder, XDG_CACHE_HOME: folder },
  })
  await rm(file)
  return stdout.trim()
}

test.each(['engine.js', 'engine-pool.js'])(
  '%s leaves no id of the machine behind and sends nothing of what it is used for',
  async (file) => {
    const start = file === 'engine.js' ? 'startEngine()' : 'startEnginePool(1)'
    const printed = await runAtHome(`
      import * as face from '${resolve('dist/face', file)}'
      const engine = await face.${start}
      console.log(await engine.works())
      await engine.close()`)
    expect(printed).toBe('true')
    expect(await readdir(folder)).toEqual([])
  },
)

test('the library would do so if it were not told', async () => {
  const printed = await runAtHome(`
    import { InferenceSession } from '${import.meta.resolve('onnxruntime-node')}'
    await InferenceSession.create(new Uint8Array(4)).catch(() => console.log('loaded'))`)
  expect(printed).toBe('loaded')
  const left = await readdir(folder, { recursive: true })
  expect(left.filter((name) => /onnxruntime/.test(String(name)))).not.toEqual([])
})
