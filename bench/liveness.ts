/**
 * How well attacks are told from living faces, on heads, prints and screens that are rendered from photos: simulated, not
 * certified.
 *
 *   node --import tsx bench/liveness.ts [--faces DIR] [--models DIR] [--people N] [--chosen-on] [--json]
 *
 * DIR holds photos as identity/*.jpg (without it: the portraits that every install has), the two MiniFASNets of --models
 * are measured where they are given. The first half of the people is what thresholds were chosen on, the second is
 * reported; with --chosen-on it is the first.
 */
import { createHash } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { judgeLiveness, type LivenessFound } from '../src/attendance/liveness.ts'
import type { Looked } from '../src/attendance/look.ts'
import { fuse } from '../src/face/embed.ts'
import { openNetworks } from '../src/face/engine.ts'
import { findPack } from '../src/face/packs/catalogue.ts'
import { humanV1 } from '../src/face/packs/human-v1.ts'
import { measuredOf } from '../src/face/packs/measured.ts'
import type { Pack } from '../src/face/packs/pack.ts'
import { drawChallenge } from '../src/face/pad/challenge.ts'
import type { PadState } from '../src/face/pad/judge.ts'
import { analyseFrames, type Networks } from '../src/face/pipeline.ts'
import { confidenceOf } from '../src/face/score-table.ts'
import { toVector } from '../src/gallery/templates.ts'
import { seededRandom } from '../src/shared/seeded-random.ts'
import { photograph } from './heads/camera.ts'
import { filmHead } from './heads/film.ts'
import { framesOf, type Person, readPeople } from './heads/person.ts'
import { agreement, type Rate, rateOf } from './heads/rates.ts'
import { bursts, challenges, type Kind } from './heads/sequences.ts'

/** With 20 people in each half a rate of 0 is known to 16%, and the run takes some three minutes of one core. */
const PEOPLE = 40
/** Poses at which it is checked that the mesh follows a rendered head, in degrees. */
const poses = [
  ...[-30, -20, -10, 0, 10, 20, 30].map((yaw) => ({ yaw, pitch: 0 })),
  ...[-20, -10, 10, 20].map((pitch) => ({ yaw: 0, pitch })),
]

/** Errors of one kind of sequence, by each signal and by the whole judgement under a policy. */
interface KindRates {
  kind: string
  attack: boolean
  sequences: number
  /** Of attacks APCER, the share not stopped; of bona fide sequences BPCER, the share stopped. */
  rates: Record<string, Rate>
}

export interface LivenessReport {
  people: number
  /** Of rendered and seen angles, over all people. */
  tracking: Record<'yaw' | 'pitch', ReturnType<typeof agreement>>
  /** Policy flag: what the passive burst and the model say is an attack is stopped. */
  bursts: KindRates[]
  /** Policy enforce: what is not bona fide by the challenge, or what the model says is an attack, is stopped. */
  challenges: KindRates[]
}

/** Renders the sequences and looks at them with the embedded pack. Takes minutes. */
export async function runLiveness(options: {
  faces?: string
  models?: string
  people?: number
  chosenOn?: boolean
}): Promise<LivenessReport> {
  const networks = await openNetworks(withPad(options.models), options.models)
  const all = await readPeople(networks, options.faces, options.people ?? PEOPLE)
  const people = all
    .map((person, seed) => ({ person, seed }))
    .filter(({ seed }) => seed % 2 === (options.chosenOn ? 0 : 1))
  const tracking = await measureTracking(
    networks,
    people.map(({ person }) => person),
  )
  const outcomes = { bursts: new Map<Kind, Outcome[]>(), challenges: new Map<Kind, Outcome[]>() }
  for (const { person, seed } of people) {
    for (const [index, kind] of [...bursts, ...challenges].entries()) {
      const outcome = await present(networks, kind, person, seededRandom(1000 * seed + index))
      const group = index < bursts.length ? outcomes.bursts : outcomes.challenges
      group.set(kind, [...(group.get(kind) ?? []), outcome])
    }
    process.stderr.write('.')
  }
  process.stderr.write('\n')
  for (const network of [networks.detector, networks.mesh, ...networks.embedders]) await network.close()
  return {
    people: people.length,
    tracking,
    bursts: [...outcomes.bursts].map(([kind, list]) => ratesOf(kind, list, flagSignals)),
    challenges: [...outcomes.challenges].map(([kind, list]) => ratesOf(kind, list, enforceSignals)),
  }
}

/** The embedded pack, with the test pack's networks against presentation attacks where its folder is given. */
function withPad(models: string | undefined): Pack {
  const { files, pad } = findPack('test-mobilefacenet')!
  return models === undefined ? humanV1 : { ...humanV1, files: { ...files, ...humanV1.files }, pad }
}

// --- Does the mesh follow a rendered head

async function measureTracking(networks: Networks, people: Person[]): Promise<LivenessReport['tracking']> {
  const pairs = { yaw: [] as [number, number][], pitch: [] as [number, number][] }
  for (const [seed, { head }] of people.entries()) {
    const pictures = await filmHead(head, poses, seed)
    for (const [index, frame] of (await framesOf(networks, pictures)).entries()) {
      if (frame.kind !== 'face') continue
      const { yaw, pitch } = poses[index]
      if (pitch === 0) pairs.yaw.push([yaw, frame.face.pose.yaw])
      if (yaw === 0) pairs.pitch.push([pitch, frame.face.pose.pitch])
    }
  }
  return { yaw: agreement(pairs.yaw), pitch: agreement(pairs.pitch) }
}

// --- Presenting

/** What each signal and each judgement says of a sequence. */
type Outcome = Record<'model' | 'passive' | 'challenge' | 'flag' | 'enforce', PadState>

async function present(
  networks: Networks,
  kind: Kind,
  person: Person,
  random: () => number,
): Promise<Outcome> {
  const steps = drawChallenge((n) => Math.floor(random() * n))
  const shots = await kind.shots(person, random, steps)
  const pictures: Buffer[] = []
  for (const { picture, again } of shots)
    pictures.push(again === undefined ? await photograph(picture, random) : pictures[again])
  const looked = async (throughout: boolean): Promise<Looked> => ({
    ...(await analyseFrames(humanV1, networks, pictures, throughout)),
    atMs: shots.map(({ atMs }) => atMs),
    sha256: pictures.map((picture) => createHash('sha256').update(picture).digest('hex')),
  })
  const flag = judgeLiveness(await looked(false), undefined, gallery, {
    policy: 'flag',
    modelIsEnough: false,
  })
  const enforce = judgeLiveness(await looked(true), steps, gallery, {
    policy: 'enforce',
    modelIsEnough: false,
  })
  const of = ({ signals = [] }: LivenessFound, name: string) =>
    signals.find(({ signal }) => signal === name)!.state!
  return {
    model: of(flag, 'model'),
    passive: of(flag, 'passive'),
    challenge: of(enforce, 'challenge'),
    flag: flag.state,
    enforce: enforce.state,
  }
}

/** As a gallery that has nobody compares: by the pack's own mean. */
const gallery = {
  likeness: (_pack: string, one: Float32Array, other: Float32Array) => {
    const { raw, defaultMean } = measuredOf(humanV1)!
    const mean = toVector(Buffer.from(defaultMean, 'base64'))
    const [a, b] = [one, other].map((vector) => fuse(humanV1.embedders, vector, mean))
    return confidenceOf(
      raw,
      a.reduce((sum, value, i) => sum + value * b[i], 0),
    )
  },
}

// --- Reporting

/** Which states stop a person, by signal: a flag is set on attacks alone, the challenge stops all but bona fide. */
const flagSignals = { model: isAttack, passive: isAttack, flag: isAttack }
const enforceSignals = { model: isAttack, challenge: isNotBonaFide, enforce: isNotBonaFide }

function isAttack(state: PadState): boolean {
  return state === 'attack'
}

function isNotBonaFide(state: PadState): boolean {
  return state !== 'bona_fide'
}

function ratesOf(
  { name, attack }: Kind,
  outcomes: readonly Outcome[],
  signals: Partial<Record<keyof Outcome, (state: PadState) => boolean>>,
): KindRates {
  const rates: Record<string, Rate> = {}
  for (const [signal, stops] of Object.entries(signals)) {
    const states = outcomes.map((outcome) => outcome[signal as keyof Outcome])
    if (states.every((state) => state === 'unavailable')) continue
    rates[signal] = rateOf(states.filter((state) => stops(state) !== attack).length, states.length)
  }
  return { kind: name, attack, sequences: outcomes.length, rates }
}

/** The report as lines of text, with rates in percent and their 95% intervals. */
export function describeLiveness({ people, tracking, bursts, challenges }: LivenessReport): string {
  const percent = (share: number) => `${(100 * share).toFixed(0)}`
  const cell = (rate?: Rate) =>
    rate ? `${percent(rate.count / rate.of)}% [${rate.interval.map(percent).join(', ')}]` : '-'
  const table = (title: string, kinds: readonly KindRates[], signals: string[]) => [
    '',
    title,
    ['', ...signals].map((text, column) => text.padEnd(column === 0 ? 52 : 18)).join(''),
    ...kinds.map(({ kind, attack, sequences, rates }) =>
      [
        `${attack ? 'APCER' : 'BPCER'} ${kind} (${sequences})`.padEnd(52),
        ...signals.map((signal) => cell(rates[signal]).padEnd(18)),
      ].join(''),
    ),
  ]
  return [
    `Presentation attacks, simulated, not certified: rendered heads, prints and screens of ${people} people`,
    ...(['yaw', 'pitch'] as const).map((angle) => {
      const { correlation, slope, meanError } = tracking[angle]
      return `The mesh follows ${angle}: correlation ${correlation.toFixed(3)}, slope ${slope.toFixed(2)}, mean error ${meanError.toFixed(1)} degrees`
    }),
    ...table('Bursts (flag: APCER = not called an attack, BPCER = called one)', bursts, [
      'passive',
      'model',
      'flag',
    ]),
    ...table('Challenges (enforce: APCER = bona fide, BPCER = not bona fide)', challenges, [
      'challenge',
      'model',
      'enforce',
    ]),
  ].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      faces: { type: 'string' },
      models: { type: 'string' },
      people: { type: 'string' },
      'chosen-on': { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  const { faces, models, people, json } = values
  const report = await runLiveness({
    faces,
    models,
    people: people ? Number(people) : undefined,
    chosenOn: values['chosen-on'],
  })
  console.log(json ? JSON.stringify(report) : describeLiveness(report))
}
