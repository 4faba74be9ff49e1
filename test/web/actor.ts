import type { BrowserContext } from 'playwright-core'
import { photograph, room } from '../../bench/heads/camera.ts'
import { filmHead, type HeadPose } from '../../bench/heads/film.ts'
import { makePerson, type Person } from '../../bench/heads/person.ts'
import { printed, sheet } from '../../bench/heads/presentation.ts'
import { render } from '../../bench/heads/render.ts'
import { decode } from '../../src/face/decode.ts'
import { startEngine } from '../../src/face/engine.ts'
import { type Action, actions } from '../../src/face/pad/challenge.ts'
import { seededRandom } from '../../src/shared/seeded-random.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'

/** What the camera sees at rest and at each step: at each share of the movement, a few takes with other noise. */
export type Film = Record<Action | 'rest', Buffer[][]>

const SHARES = [0, 0.35, 0.7, 1]
const TAKES = 3

export async function personOf(who: PortraitName): Promise<Person> {
  const engine = await startEngine()
  const bytes = await portrait(who)
  const seen = await engine.analyse(bytes)
  await engine.close()
  if (seen.kind !== 'face') throw new Error(seen.kind)
  return makePerson(who, await decode(bytes), seen.face)
}

/** A head in three dimensions that turns, nods and closes its eyes. */
export function filmOfHead({ head }: Person): Promise<Film> {
  const pose = (action: Action, share: number): Partial<HeadPose> => {
    if (action === 'blink') return { closed: share }
    return movement(action, 30 * share, 20 * share)
  }
  return filmOf(async (action, share, seed) => {
    const [picture] = await filmHead(head, [{ y: 40, distance: 480, ...pose(action, share) }], seed)
    return picture
  })
}

/** The same face as a print that is tilted as a head would turn. */
export function filmOfPrint({ portrait: photo, portraitWidthMm }: Person): Promise<Film> {
  const paper = sheet(printed(photo), portraitWidthMm)
  return filmOf(async (action, share, seed) => {
    const random = seededRandom(seed)
    const straight = { yaw: 0, pitch: 0, roll: 0, x: 0, y: 0, distance: 460 }
    const tilt = action === 'blink' ? {} : movement(action, 40 * share, 35 * share)
    const picture = render([{ surface: paper, placement: { ...straight, ...tilt } }], await room(random))
    return photograph(picture, random)
  })
}

function movement(action: Action, turn: number, nod: number) {
  if (action === 'turn_left' || action === 'turn_right') return { yaw: action === 'turn_left' ? turn : -turn }
  return { pitch: action === 'look_down' ? nod : -nod }
}

async function filmOf(take: (action: Action, share: number, seed: number) => Promise<Buffer>): Promise<Film> {
  const film = {} as Film
  let seed = 1
  for (const action of ['rest', ...actions] as const) {
    film[action] = []
    for (const share of action === 'rest' ? [0] : SHARES) {
      const takes: Buffer[] = []
      for (let i = 0; i < TAKES; i++)
        takes.push(await take(action === 'rest' ? 'blink' : action, action === 'rest' ? 0 : share, seed++))
      film[action].push(takes)
    }
  }
  return film
}

/**
 * Gives the pages of a context a camera before which somebody does what the kiosk's screen asks for: a fake video can
 * only play one thing over and over, and the steps of a challenge are drawn anew each time.
 */
export async function putBeforeCamera(context: BrowserContext, film: Film): Promise<void> {
  const shown = Object.fromEntries(
    Object.entries(film).map(([step, shares]) => [
      step,
      shares.map((takes) => takes.map((jpeg) => jpeg.toString('base64'))),
    ]),
  )
  await context.addInitScript(`(${actOut})(${JSON.stringify(shown)})`)
}

/** Runs in the page. Written as text: nothing of a test is known there. */
const actOut = `(film) => {
  const pictureOf = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    return createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }))
  }
  const load = async () => {
    const loaded = {}
    for (const [step, shares] of Object.entries(film))
      loaded[step] = await Promise.all(shares.map((takes) => Promise.all(takes.map(pictureOf))))
    return loaded
  }
  navigator.mediaDevices.getUserMedia = async () => {
    const pictures = await load()
    const canvas = document.createElement('canvas')
    canvas.width = 640
    canvas.height = 480
    const drawing = canvas.getContext('2d')
    let step = 'rest'
    let since = performance.now()
    let frame = 0
    setInterval(() => {
      const asked = document.querySelector('[data-step]')?.dataset.step ?? 'rest'
      if (asked !== step) [step, since] = [asked, performance.now()]
      const shares = pictures[step]
      const done = Math.min(1, Math.max(0, (performance.now() - since - 300) / 900))
      const takes = shares[Math.round(done * (shares.length - 1))]
      // Nobody holds quite still, and no camera sees the same twice.
      const sway = (period) => 1.5 * Math.sin(performance.now() / period)
      drawing.drawImage(takes[frame++ % takes.length], sway(700) - 2, sway(900) - 2, 644, 484)
    }, 60)
    return canvas.captureStream(20)
  }
}`
