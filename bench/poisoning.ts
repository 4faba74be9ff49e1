/**
 * Whether templates that are learned can be led from one person to another: at ten checks, ten days apart, a face that is
 * a little less one person's and a little more another's each time, with everything else as good as it can be. With the
 * rules as they are, and with each of them taken away.
 *
 *   npx tsx bench/poisoning.ts --faces DIR [--people 80] [--victims 8]
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { openDatabase } from '../src/database/connect.ts'
import { migrateToLatest } from '../src/database/migrate.ts'
import type { Database } from '../src/database/tables.ts'
import { centringMean, fuse, unit } from '../src/face/embed.ts'
import { startEngine } from '../src/face/engine.ts'
import { humanV1 } from '../src/face/packs/human-v1.ts'
import { requireMeasured } from '../src/face/packs/measured.ts'
import type { Pack } from '../src/face/packs/pack.ts'
import { confidenceOf } from '../src/face/score-table.ts'
import {
  DAY_MS,
  LEARNED_SLOTS,
  type LearningRules,
  learnedVector,
  mayLearn,
  TEMPLATE_REPLACEMENT_DAYS,
} from '../src/gallery/adapt.ts'
import { byPhotos, guardTemplates } from '../src/gallery/drift.ts'
import { type Candidate, type Gallery, openGallery, type Vote } from '../src/gallery/gallery.ts'
import { MARGIN } from '../src/gallery/look-alikes.ts'
import type { PhotoStore } from '../src/gallery/photo-store.ts'
import { ADMIN_SLOT, sealTemplate } from '../src/gallery/templates.ts'
import type { Change } from '../src/ledger/ledger.ts'
import { createLogger } from '../src/shared/log.ts'
import { seededRandom } from '../src/shared/seeded-random.ts'
import { openVault, type Vault } from '../src/vault/vault.ts'

/** Somebody with photos: the first is enrolled, the second is what a kiosk sees of them. */
export interface Person {
  id: string
  vectors: Float32Array[]
}

/** What a rule says when it is taken away. */
export interface Rails {
  name: string
  /** Learn from what any template recognises, not only the administrator's. */
  chains?: boolean
  /** Store the face as it is, not a quarter of it. */
  whole?: boolean
  rules?: (rules: LearningRules, threshold: number) => Partial<LearningRules>
  unguarded?: boolean
}

export const rails: Rails[] = [
  { name: 'all rules' },
  { name: 'learned templates recognise too', chains: true },
  { name: 'learning from the threshold on', rules: (_, threshold) => ({ learning: threshold }) },
  { name: 'learning the whole face', whole: true },
  { name: 'no margin', rules: () => ({ margin: Number.NEGATIVE_INFINITY }) },
  { name: 'no drift guard', unguarded: true },
  {
    name: 'none of them',
    chains: true,
    whole: true,
    rules: () => ({ margin: Number.NEGATIVE_INFINITY }),
    unguarded: true,
  },
]

/** The steps of one attempt: how much of each face is the other person's. */
const mixes = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]

export interface Attempt {
  /** The shares of the other person that were learned. */
  learned: number[]
  /** Photos of the other person that are taken for the first one in the end, and of how many. */
  accepted: number
  photos: number
  /** Learned templates that are nearer to the other person's photo than to the enrolled one, in the end. */
  nearer: number
}

export interface Company {
  db: Database
  gallery: Gallery
  clock: { now: () => Date }
  /** Tries to lead the templates of one person to another. Leaves nothing behind. */
  poison(victim: Person, other: Person, rails: Rails): Promise<Attempt>
  /** Whether somebody is in the gallery. */
  setActive(person: Person, isActive: boolean): Promise<void>
  close(): Promise<void>
}

/** Enrols people, each with their first photo. */
export async function foundCompany(
  { db, vault, pack }: { db: Database; vault: Vault; pack: Pack },
  people: readonly Person[],
): Promise<Company> {
  const keys = new Map<string, Buffer>()
  let now = new Date('2025-03-03T08:00:00Z')
  const clock = { now: () => now }
  const log = createLogger({ level: 'silent' })
  const change: Change = (work) => db.transaction().execute(work)
  for (const { id, vectors } of people) {
    const key_id = await vault.newKey()
    keys.set(id, (await vault.key(key_id))!)
    await db.insertInto('employees').values({ employee_id: id, name: id, key_id }).execute()
    await db
      .insertInto('face_templates')
      .values({ ...template(id, ADMIN_SLOT, vectors[0]!), created_from: 'ADMIN_UPLOAD' })
      .execute()
  }
  const gallery = await openGallery({ db, vault, change, pack, clock, log, threshold: 0.65 })
  await gallery.settled()
  // There are no photos to be removed.
  const photos = { remove: async () => {} } as unknown as PhotoStore
  const drift = { db, vault, change, photos, gallery, engine: { pack }, clock, log }

  function template(employeeId: string, slot: number, vector: Float32Array) {
    const embedding_vector = sealTemplate(keys.get(employeeId)!, vector, {
      employeeId,
      slot,
      pack: pack.name,
    })
    const file = { filename: 'none', file_path: 'none' }
    return { employee_id: employeeId, image_id: slot, pack: pack.name, embedding_vector, ...file }
  }
  const voteFor = (vector: Float32Array): Vote => ({ pack: pack.name, vector, weight: 1 })
  /** The victim's templates by their slot. */
  const held = new Map<number, Float32Array>()
  const learnedOf = (id: string) =>
    db
      .selectFrom('face_templates')
      .select(['image_id as slot', 'created_at as learnedAt'])
      .where('employee_id', '=', id)
      .where('created_from', '=', 'ATTENDANCE')
      .execute()

  /** One check with this face, which is said to be the person's. Resolves to whether a template was learned. */
  async function offer({ id }: Person, face: Float32Array, { chains, whole, rules, unguarded }: Rails) {
    const vote = voteFor(face)
    const { candidates, learning, threshold } = gallery.identify([vote], 2)
    const usual = { learning, margin: MARGIN }
    const photos = byPhotos(gallery, vote, id)!
    const parent = chains ? surest(gallery.templatesOf(vote, id)) : photos
    const learned = await learnedOf(id)
    const decided = mayLearn(
      {
        outcome: 'identified',
        liveness: 'bona_fide',
        quality: 1,
        admin: parent,
        second: candidates.find(({ employeeId }) => employeeId !== id),
        isDisputed: false,
        hasLookAlike: false,
        lastLearnedAt: learned.map(({ learnedAt }) => learnedAt).sort((a, b) => +b - +a)[0],
        learned,
        now,
      },
      { ...usual, ...rules?.(usual, threshold) },
    )
    if (!decided.learn) return false
    await db
      .deleteFrom('face_templates')
      .where('employee_id', '=', id)
      .where('image_id', '=', decided.slot)
      .execute()
    const vector = whole ? face : learnedVector(pack.embedders, held.get(parent.slot)!, face)
    held.set(decided.slot, vector)
    await db
      .insertInto('face_templates')
      .values({
        ...template(id, decided.slot, vector),
        created_from: 'ATTENDANCE',
        created_at: now,
        active_from: new Date(now.getTime() + DAY_MS),
      })
      .execute()
    if (!unguarded) await guardTemplates(drift, [id])
    return true
  }

  /** Whether a face is taken for this person, as a check decides it. */
  function isTakenFor({ id }: Person, vector: Float32Array): boolean {
    const { candidates, threshold } = gallery.identify([voteFor(vector)], 2)
    const [first, second] = candidates
    return (
      first?.employeeId === id &&
      first.confidence >= threshold &&
      !(second && second.minusLog10Fmr > first.minusLog10Fmr - 10 * MARGIN)
    )
  }

  return {
    db,
    gallery,
    clock,
    async poison(victim, other, without) {
      const learned: number[] = []
      const [photo, probe = photo] = victim.vectors as [Float32Array, Float32Array?]
      held.set(ADMIN_SLOT, photo)
      for (const mix of mixes) {
        now = new Date(now.getTime() + TEMPLATE_REPLACEMENT_DAYS * DAY_MS)
        const face = morph(pack, probe, other.vectors[0]!, mix)
        if (await offer(victim, face, without)) learned.push(mix)
        now = new Date(now.getTime() + DAY_MS)
        await gallery.refresh(victim.id)
        if (!without.unguarded) await guardTemplates(drift, [victim.id])
      }
      const accepted = other.vectors.filter((vector) => isTakenFor(victim, vector)).length
      const nearer = (await learnedOf(victim.id)).filter(({ slot }) => {
        const vector = held.get(slot)!
        return (
          gallery.likeness(pack.name, vector, other.vectors[0]!) >= gallery.likeness(pack.name, vector, photo)
        )
      }).length
      await db.deleteFrom('face_templates').where('created_from', '=', 'ATTENDANCE').execute()
      await gallery.refresh(victim.id)
      return { learned, accepted, photos: other.vectors.length, nearer }
    },
    async setActive({ id }, is_active) {
      await db.updateTable('employees').set({ is_active }).where('employee_id', '=', id).execute()
      await gallery.refresh(id)
      await gallery.settled()
    },
    close: () => gallery.close(),
  }
}

const surest = (candidates: Candidate[]) =>
  candidates.reduce((one, other) => (other.score > one.score ? other : one))

/** A face between two: what the networks make of it lies on the line between what they make of the two. */
function morph(
  { embedders }: Pick<Pack, 'embedders'>,
  one: Float32Array,
  other: Float32Array,
  mix: number,
): Float32Array {
  const vector = one.map((value, i) => (1 - mix) * value + mix * other[i]!)
  let from = 0
  for (const { dimension } of embedders) {
    vector.set(unit(vector.slice(from, from + dimension)), from)
    from += dimension
  }
  return vector
}

/** Reads the photos of a folder with an index.csv (identity,file,group): people of two photos or more. */
export async function readPeople(folder: string, most: number): Promise<{ people: Person[]; pack: Pack }> {
  const engine = await startEngine()
  const lines = (await readFile(join(folder, 'index.csv'), 'utf8')).trim().split('\n').slice(1)
  const files = new Map<string, string[]>()
  for (const line of lines) {
    const [identity, file] = line.split(',') as [string, string]
    files.set(identity, [...(files.get(identity) ?? []), file])
  }
  const people: Person[] = []
  for (const [id, theirs] of files) {
    if (theirs.length < 2 || people.length >= most) continue
    const vectors: Float32Array[] = []
    for (const file of theirs) {
      const analysis = await engine.analyse(await readFile(join(folder, file)), 'central')
      if (analysis.kind === 'face') vectors.push(analysis.face.vector)
    }
    if (vectors.length >= 2) people.push({ id, vectors })
  }
  await engine.close()
  return { people, pack: engine.pack }
}

/**
 * For some people the one who resembles them most, and one by chance. Those whom their enrolled photo knows best come
 * first: of them something is learned at all.
 */
export function pairsOf(company: Company, people: readonly Person[], count: number): [Person, Person][] {
  const random = seededRandom(1)
  const knows = ({ vectors: [photo, probe] }: Person) =>
    company.gallery.likeness(humanV1.name, photo!, probe!)
  const victims = [...people].sort((one, other) => knows(other) - knows(one)).slice(0, count)
  return victims.flatMap((victim): [Person, Person][] => {
    const others = people.filter((other) => other !== victim)
    const likeness = (other: Person) =>
      company.gallery.likeness(humanV1.name, victim.vectors[0]!, other.vectors[0]!)
    const alike = others.reduce((best, other) => (likeness(other) > likeness(best) ? other : best))
    return [
      [victim, alike],
      [victim, others[Math.floor(random() * others.length)]!],
    ]
  })
}

/** All attempts on these pairs without one rule, with the other person enrolled or a stranger. */
export async function attempts(
  company: Company,
  pairs: readonly [Person, Person][],
  without: Rails,
  isEnrolled: boolean,
): Promise<Attempt[]> {
  const results: Attempt[] = []
  for (const [victim, other] of pairs) {
    if (!isEnrolled) await company.setActive(other, false)
    results.push(await company.poison(victim, other, without))
    if (!isEnrolled) await company.setActive(other, true)
  }
  return results
}

/** How much of a face to learn: what it brings the person themself, and how many strangers it lets in. */
export function reportShares(pack: Pack, people: readonly Person[]): void {
  const { embedders } = pack
  const { raw } = requireMeasured(pack)
  const mean = centringMean(
    embedders,
    people.map(({ vectors }) => vectors[0]!),
  )
  const fused = (vector: Float32Array) => fuse(embedders, vector, mean)
  const confidence = (one: Float32Array, other: Float32Array) =>
    confidenceOf(
      raw,
      one.reduce((sum, value, i) => sum + value * other[i]!, 0),
    )
  const [threshold, learning] = [0.65, 0.85]
  const faces = people.map(({ vectors }) => vectors.map(fused))
  console.log('| share of the new face | further photos recognised | strangers who pass in the end |')
  console.log('|---|---|---|')
  for (const share of [0, 0.15, 0.2, 0.25, 0.33, 0.5, 1]) {
    const own = { tried: 0, passed: 0 }
    const strangers = { tried: 0, passed: 0 }
    const learnedOf = (photo: Float32Array, face: Float32Array) =>
      fused(morph({ embedders }, photo, face, share))
    for (const [i, { vectors }] of people.entries()) {
      const photo = faces[i]![0]!
      for (const [k, probe] of faces[i]!.entries()) {
        if (k === 0 || confidence(photo, probe) < learning) continue
        const learned = learnedOf(vectors[0]!, vectors[k]!)
        for (const [m, third] of faces[i]!.entries()) {
          if (m === 0 || m === k) continue
          own.tried++
          if (Math.max(confidence(photo, third), confidence(learned, third)) >= threshold) own.passed++
        }
      }
      if (confidence(photo, faces[i]![1]!) < learning) continue
      for (const [j, other] of people.entries()) {
        if (i === j) continue
        const steps = mixes.map((mix) => morph({ embedders }, vectors[1]!, other.vectors[0]!, mix))
        const learned = steps
          .filter((face) => confidence(photo, fused(face)) >= learning)
          .slice(-LEARNED_SLOTS.length)
          .map((face) => learnedOf(vectors[0]!, face))
        strangers.tried++
        const passes = faces[j]!.some((face) =>
          [photo, ...learned].some((template) => confidence(template, face) >= threshold),
        )
        if (passes) strangers.passed++
      }
    }
    const cells = [
      `${100 * share}%`,
      `${own.passed} of ${own.tried}`,
      `${strangers.passed} of ${strangers.tried}`,
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      faces: { type: 'string' },
      people: { type: 'string', default: '80' },
      victims: { type: 'string', default: '8' },
    },
  })
  if (!values.faces) throw new Error('Say where the photos are: npx tsx bench/poisoning.ts --faces DIR')
  const { people: all, pack } = await readPeople(values.faces, Number.POSITIVE_INFINITY)
  reportShares(pack, all)
  const people = all.slice(0, Number(values.people))
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-poisoning-'))
  const database = await openDatabase({ dataDir: folder, log: createLogger({ level: 'silent' }) })
  await migrateToLatest(database.db)
  const vault = await openVault({ dir: join(folder, 'keys'), masterKey: randomBytes(32) })
  const company = await foundCompany({ db: database.db, vault, pack }, people)
  await report(company, people, Number(values.victims))
  await company.close()
  await database.close()
  await rm(folder, { recursive: true, force: true })
}

/** Makes all attempts and prints a line for each rule that was taken away. */
export async function report(company: Company, people: readonly Person[], victims: number): Promise<void> {
  const pairs = pairsOf(company, people, victims)
  console.log(
    `${people.length} people, ${pairs.length} pairs, ${company.gallery.normalised ? 'normalised' : 'plain'} scores`,
  )
  console.log('| the other is | without | steps learned | furthest | pairs accepted | nearer |')
  console.log('|---|---|---|---|---|---|')
  for (const isEnrolled of [true, false])
    for (const without of rails) {
      const results = await attempts(company, pairs, without, isEnrolled)
      const sum = (of: (attempt: Attempt) => number) => results.reduce((total, one) => total + of(one), 0)
      const furthest = Math.max(0, ...results.flatMap(({ learned }) => learned))
      const cells = [
        isEnrolled ? 'enrolled' : 'a stranger',
        without.name,
        `${sum(({ learned }) => learned.length)} of ${mixes.length * results.length}`,
        `${Math.round(100 * furthest)}%`,
        `${sum(({ accepted }) => Math.min(1, accepted))} of ${results.length}`,
        `${sum(({ nearer }) => nearer)}`,
      ]
      console.log(`| ${cells.join(' | ')} |`)
    }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main()
