import type { Picture } from '../../src/face/decode.ts'
import { type Action, drawChallenge } from '../../src/face/pad/challenge.ts'
import { room } from './camera.ts'
import { type HeadPose, renderHead, straightAhead } from './film.ts'
import type { Person } from './person.ts'
import { type Bend, displayed, printed, sheet } from './presentation.ts'
import { render } from './render.ts'

/** A picture before the camera's noise, and when it is taken. */
export interface Shot {
  picture: Picture
  atMs: number
  /** The place of an earlier shot whose file is sent once more instead. */
  again?: number
}

/** What the camera sees of a kind of presentation, at a number of moments. `steps` is what was asked for. */
export interface Kind {
  name: string
  attack: boolean
  shots(person: Person, random: Random, steps: readonly Action[]): Promise<Shot[]>
}

export type Random = () => number

/** A head's pose and eyes, or a sheet's pose, at a moment. */
type Motion = HeadPose & { bend?: Bend }

const BURST_FRAMES = 8
const BURST_MS = 1050

// --- Bursts

type Path = (share: number) => Partial<Motion>

/** What people do within a second: nothing, look about, turn, nod, come nearer, blink. */
const headPaths: Record<string, (random: Random) => Path> = {
  'held still': () => () => ({}),
  'looks about': (random) => {
    const [across, down] = [10 * side(random), 5 * side(random)]
    return (share) => ({ yaw: across * Math.sin(5 * share), pitch: down * Math.sin(3 * share) })
  },
  turns: (random) => {
    const most = side(random) * between(random, 18, 32)
    return (share) => ({ yaw: most * bump(share) })
  },
  nods: (random) => {
    const most = side(random) * between(random, 10, 18)
    return (share) => ({ pitch: most * bump(share) })
  },
  'walks up': (random) => {
    const far = between(random, 120, 250)
    const aside = 60 * side(random)
    return (share) => ({ distance: far * (1 - share), x: aside * (1 - share) })
  },
  blinks: () => (share) => ({ closed: share > 0.4 && share < 0.65 ? 1 : 0 }),
}

/** What is done with a photo on paper or on a screen to make it look alive. */
const sheetPaths: Record<string, (random: Random) => Path> = {
  'held still': () => () => ({}),
  moved: (random) => {
    const [across, nearer] = [60 * side(random), 80 * random()]
    return (share) => ({ x: across * (share - 0.5), distance: -nearer * share })
  },
  tilted: (random) => {
    const [across, down] = [side(random) * between(random, 20, 40), between(random, -15, 15)]
    return (share) => ({ yaw: across * Math.sin(6.3 * share), pitch: down * Math.sin(3 * share) })
  },
  rotated: (random) => {
    const most = side(random) * between(random, 15, 30)
    return (share) => ({ roll: most * Math.sin(4 * share), yaw: 0.4 * most * bump(share) })
  },
  bent: (random) => {
    const radius = between(random, 90, 160)
    const axis = random() < 0.7 ? ('upright' as const) : ('level' as const)
    const most = side(random) * between(random, 15, 30)
    return (share) => ({
      bend: { axis, radiusMm: radius / (0.6 + 0.4 * bump(share)) },
      ...(axis === 'upright'
        ? { yaw: most * Math.sin(6.3 * share) }
        : { pitch: most * Math.sin(6.3 * share) }),
    })
  },
}

const times = Array.from({ length: BURST_FRAMES }, (_, index) => (index * BURST_MS) / (BURST_FRAMES - 1))

export const bursts: Kind[] = [
  ...Object.entries(headPaths).map(([name, pathOf]) => ({
    name: `head, ${name}`,
    attack: false,
    shots: (person: Person, random: Random) => headShots(person, random, times, alongBurst(pathOf(random))),
  })),
  ...Object.entries(sheetPaths).map(([name, pathOf]) => ({
    name: `print, ${name}`,
    attack: true,
    shots: (person: Person, random: Random) => printShots(person, random, times, alongBurst(pathOf(random))),
  })),
  ...['held still', 'tilted'].map((name) => ({
    name: `photo on a screen, ${name}`,
    attack: true,
    shots: (person: Person, random: Random) =>
      screenShots([person.portrait], random, times, alongBurst(sheetPaths[name](random)), 210),
  })),
  {
    name: 'video on a screen, of a head that turns',
    attack: true,
    shots: async (person, random) => {
      const played = await headShots(person, random, times, alongBurst(headPaths.turns(random)))
      return screenShots(played.map(close), random, times, () => ({}), 220)
    },
  },
  {
    name: 'one picture sent twice',
    attack: true,
    shots: async (person, random) => {
      const shots = await headShots(person, random, times, () => ({}))
      return shots.map((shot, index) => (index === 5 ? { ...shot, again: 2 } : shot))
    },
  },
]

const alongBurst = (path: Path) => (atMs: number) => path(atMs / BURST_MS)

// --- Challenges

const STEP_MS = 2600
/** Three pictures a step: when it has begun, when it is there, and on the way back. */
const momentsOfStep = [0.15, 0.55, 0.85]

const challengeTimes = [0, 1, 2].flatMap((step) => momentsOfStep.map((share) => (step + share) * STEP_MS))

export const challenges: Kind[] = [
  {
    name: 'head that does what it is asked',
    attack: false,
    shots: (person, random, steps) => headShots(person, random, challengeTimes, doing(steps, random)),
  },
  {
    name: 'head that does another sequence',
    attack: true,
    shots: (person, random, steps) =>
      headShots(person, random, challengeTimes, doing(anotherThan(steps, random), random)),
  },
  {
    name: 'print, held still',
    attack: true,
    shots: (person, random) => printShots(person, random, challengeTimes, () => ({})),
  },
  {
    name: 'print, tilted as asked',
    attack: true,
    shots: (person, random, steps) => printShots(person, random, challengeTimes, tilting(steps, random)),
  },
  {
    name: 'print, bent and tilted as asked',
    attack: true,
    shots: (person, random, steps) => {
      const bend: Bend = { axis: random() < 0.7 ? 'upright' : 'level', radiusMm: between(random, 80, 140) }
      const tilt = tilting(steps, random)
      return printShots(person, random, challengeTimes, (atMs) => ({ ...tilt(atMs), bend }))
    },
  },
  {
    name: 'photo on a screen, tilted as asked',
    attack: true,
    shots: (person, random, steps) =>
      screenShots([person.portrait], random, challengeTimes, tilting(steps, random), 210),
  },
  {
    name: 'video on a screen, of another sequence',
    attack: true,
    shots: (person, random, steps) => video(person, random, anotherThan(steps, random)),
  },
  {
    name: 'video on a screen, of the right sequence',
    attack: true,
    shots: (person, random, steps) => video(person, random, steps),
  },
]

async function video(person: Person, random: Random, steps: readonly Action[]): Promise<Shot[]> {
  const played = await headShots(person, random, challengeTimes, doing(steps, random))
  return screenShots(played.map(close), random, challengeTimes, () => ({}), 220)
}

function anotherThan(steps: readonly Action[], random: Random): Action[] {
  for (;;) {
    const drawn = drawChallenge((n) => Math.floor(random() * n))
    if (drawn.join() !== steps.join()) return drawn
  }
}

/** What a person does who is asked for these steps, as far as each of them goes. */
function doing(steps: readonly Action[], random: Random): (atMs: number) => Partial<Motion> {
  const [turn, nod] = [between(random, 22, 36), between(random, 14, 24)]
  return alongSteps(steps, (action, share) => {
    if (action === 'blink') return { closed: share > 0.5 ? 1 : 0 }
    return inDirection(action, turn * share, nod * share)
  })
}

/** A sheet held so that it imitates the steps. Its lids stay open. */
function tilting(steps: readonly Action[], random: Random): (atMs: number) => Partial<Motion> {
  const [turn, nod] = [between(random, 25, 50), between(random, 25, 45)]
  return alongSteps(steps, (action, share) =>
    action === 'blink' ? {} : inDirection(action, turn * share, nod * share),
  )
}

function inDirection(action: Action, turn: number, nod: number): Partial<Motion> {
  if (action === 'turn_left' || action === 'turn_right') return { yaw: action === 'turn_left' ? turn : -turn }
  return { pitch: action === 'look_down' ? nod : -nod }
}

/** Each step is begun after a moment, held, and left again. */
function alongSteps(steps: readonly Action[], pose: (action: Action, share: number) => Partial<Motion>) {
  return (atMs: number) => {
    const step = Math.min(steps.length - 1, Math.floor(atMs / STEP_MS))
    const share = atMs / STEP_MS - step
    const begun = smooth((share - 0.1) / 0.35)
    const left = smooth((share - 0.7) / 0.25)
    return pose(steps[step], begun - left)
  }
}

// --- Before the camera

async function headShots(
  person: Person,
  random: Random,
  atMs: readonly number[],
  motion: (atMs: number) => Partial<Motion>,
): Promise<Shot[]> {
  const background = await room(random)
  const start = { x: between(random, -30, 30), distance: between(random, -50, 60) }
  const sway = unrest(random, { angle: 1.5, mm: 3, slowestMs: 4000 })
  return atMs.map((at) => {
    const { bend: _, ...pose } = together(straightAhead, start, sway(at), motion(at))
    return { atMs: at, picture: renderHead(person.head, pose, background) }
  })
}

function printShots(
  person: Person,
  random: Random,
  atMs: readonly number[],
  motion: (atMs: number) => Partial<Motion>,
): Promise<Shot[]> {
  const scale = between(random, 0.7, 1)
  const paper = printed(person.portrait)
  const held = { ...straightAhead, y: 0, distance: 520 * scale }
  return sheetShots([paper], random, atMs, held, person.portraitWidthMm * scale, motion)
}

/** A screen of `widthMm` that shows one picture, or one after the other. */
function screenShots(
  pictures: readonly Picture[],
  random: Random,
  atMs: readonly number[],
  motion: (atMs: number) => Partial<Motion>,
  widthMm: number,
): Promise<Shot[]> {
  const shown = pictures.map((picture) => displayed(picture, 6 * random()))
  return sheetShots(shown, random, atMs, { ...straightAhead, y: 0, distance: 330 }, widthMm, motion)
}

async function sheetShots(
  pictures: readonly Picture[],
  random: Random,
  atMs: readonly number[],
  held: Motion,
  widthMm: number,
  motion: (atMs: number) => Partial<Motion>,
): Promise<Shot[]> {
  const background = await room(random)
  const start = {
    x: between(random, -20, 20),
    y: between(random, -15, 15),
    distance: between(random, -30, 30),
  }
  const tremor = unrest(random, { angle: 2, mm: 3, slowestMs: 2000 })
  return atMs.map((at, index) => {
    const { closed: _, bend, ...placement } = together(held, start, tremor(at), motion(at))
    const surface = sheet(pictures[index % pictures.length], widthMm, bend)
    return { atMs: at, picture: render([{ surface, placement }], background) }
  })
}

/** The middle of a picture in the shape of a screen: whoever plays a video fills the screen with the face. */
function close({ picture: { data, width, height } }: Shot): Picture {
  const [w, h] = [Math.round(0.7 * width), Math.round(0.7 * height)]
  const [left, top] = [(width - w) >> 1, (height - h) >> 1]
  const part = new Uint8Array(3 * w * h)
  for (let y = 0; y < h; y++) {
    const from = 3 * ((top + y) * width + left)
    part.set(data.subarray(from, from + 3 * w), 3 * y * w)
  }
  return { data: part, width: w, height: h }
}

/** A motion with changes added to its parts. */
function together(base: Motion, ...changes: Partial<Motion>[]): Motion {
  const sum = { ...base }
  for (const { bend = sum.bend, ...parts } of changes) {
    sum.bend = bend
    for (const [part, value] of Object.entries(parts)) sum[part as keyof typeof parts] += value
  }
  return sum
}

/** Nobody holds their head or their hand quite still: slow sines of up to these amplitudes, in degrees and millimetres. */
function unrest(random: Random, { angle, mm, slowestMs }: { angle: number; mm: number; slowestMs: number }) {
  const wave = (amplitude: number) => {
    const [size, phase, period] = [amplitude * random(), 6.3 * random(), slowestMs * between(random, 0.3, 1)]
    return (atMs: number) => size * Math.sin(phase + (6.3 * atMs) / period)
  }
  const waves = {
    yaw: wave(angle),
    pitch: wave(angle),
    roll: wave(angle / 2),
    x: wave(mm),
    y: wave(mm),
    distance: wave(mm),
  }
  return (atMs: number): Partial<Motion> =>
    Object.fromEntries(Object.entries(waves).map(([part, at]) => [part, at(atMs)]))
}

const side = (random: Random) => (random() < 0.5 ? -1 : 1)
const between = (random: Random, low: number, high: number) => low + (high - low) * random()
/** Up from 0 to 1 and down again. */
const bump = (share: number) => Math.sin(Math.PI * Math.min(1, Math.max(0, share)))
const smooth = (share: number) => {
  const x = Math.min(1, Math.max(0, share))
  return x * x * (3 - 2 * x)
}
