import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ownerOf } from '../gallery/bulk-photos.ts'

/** A row of the old system that names a picture of a person. */
export interface PhotoClaim {
  /** As the old system has it. */
  employeeId: string
  path: string | null
  filename: string | null
  /** Learned at a check-in: nobody has looked at it. */
  learned: boolean
}

export interface FoundPhotos {
  /** Pictures of each person, below the folder: first those that the old rows name, in their order. */
  photos: Map<string, string[]>
  /** How many pictures that were learned at check-ins are there and left out. */
  learned: number
  /** Rows without a picture of their own, and why. */
  missing: { claim: PhotoClaim; why: string }[]
}

const isPicture = (path: string) => /\.(jpe?g|png|webp)$/i.test(path)
const MAX_FILES = 1_000_000

/** All files below a folder, as paths with slashes. Links are not followed: nothing outside the folder is seen. */
export async function listFiles(folder: string): Promise<string[]> {
  if (!(await lstat(folder)).isDirectory()) throw new Error(`${folder} is not a folder.`)
  const files: string[] = []
  const below: string[] = ['']
  for (let inside = below.pop(); inside !== undefined; inside = below.pop()) {
    for (const item of await readdir(join(folder, inside), { withFileTypes: true })) {
      const path = inside === '' ? item.name : `${inside}/${item.name}`
      if (item.isDirectory()) below.push(path)
      else if (item.isFile()) files.push(path)
    }
    if (files.length > MAX_FILES)
      throw new Error(`${folder} has more than ${MAX_FILES} files. Name the photos' own.`)
  }
  return files.sort()
}

/**
 * Finds whose each picture is. Stored paths are looked up in the list of files, whole and then without their first
 * folders, so that none leads out of the folder; then come pictures that are named by a person's id; last a bare file
 * name that there is only once. A picture that two people would get is nobody's.
 */
export function findPhotos(
  files: readonly string[],
  claims: readonly PhotoClaim[],
  people: ReadonlySet<string>,
): FoundPhotos {
  const known = new Set(files)
  const byName = new Map<string, string[]>()
  for (const path of files) byName.set(nameOf(path), [...(byName.get(nameOf(path)) ?? []), path])
  const taken = new Map<string, { owners: Set<string>; learned: boolean }>()
  const take = (path: string, owner: string, learned: boolean) => {
    const before = taken.get(path)
    if (!before) taken.set(path, { owners: new Set([owner]), learned })
    else {
      before.owners.add(owner)
      before.learned &&= learned
    }
  }

  const found = new Map<PhotoClaim, string>()
  for (const claim of claims) {
    const path = pathsOf(claim).find((candidate) => known.has(candidate))
    if (path === undefined) continue
    found.set(claim, path)
    take(path, claim.employeeId, claim.learned)
  }
  const named: [string, string][] = []
  for (const path of files.filter((each) => isPicture(each) && !taken.has(each))) {
    const owner = ownerOf(path, (id) => people.has(id)).employeeId
    if (owner === null) continue
    named.push([owner, path])
    take(path, owner, false)
  }
  const free = new Set(files.filter((path) => !taken.has(path)))
  for (const claim of claims.filter((each) => !found.has(each))) {
    const path = [claim.path, claim.filename]
      .flatMap((name) => (name === null ? [] : (byName.get(nameOf(name)) ?? [])))
      .find((each) => free.has(each) && byName.get(nameOf(each))!.length === 1)
    if (path === undefined) continue
    found.set(claim, path)
    take(path, claim.employeeId, claim.learned)
  }

  const photos = new Map<string, Set<string>>()
  const add = (owner: string, path: string) =>
    photos.set(owner, (photos.get(owner) ?? new Set<string>()).add(path))
  const missing: FoundPhotos['missing'] = []
  for (const claim of claims) {
    const path = found.get(claim)
    const holders = path === undefined ? undefined : taken.get(path)!
    if (path === undefined || !holders) {
      // Whether a learned picture is there does not matter: it would be left out.
      if (!claim.learned) missing.push({ claim, why: 'there is no such file below the folder of the photos' })
    } else if (holders.owners.size > 1) {
      const others = [...holders.owners].filter((owner) => owner !== claim.employeeId).join(', ')
      if (!claim.learned) missing.push({ claim, why: `the file ${path} would be of ${others} as well` })
    } else if (!holders.learned) add(claim.employeeId, path)
  }
  for (const [owner, path] of named) add(owner, path)
  return {
    photos: new Map([...photos].map(([owner, paths]) => [owner, [...paths]])),
    learned: [...taken.values()].filter(({ learned }) => learned).length,
    missing,
  }
}

/** A stored path, whole, and then without its first folders as long as a folder is left. */
function pathsOf({ path, employeeId }: PhotoClaim): string[] {
  const segments = (path ?? '').split(/[\\/]+/).filter((segment) => segment !== '' && segment !== '.')
  if (segments.length === 0 || segments.includes('..')) return []
  const suffixes = segments.map((_, from) => segments.slice(from).join('/'))
  // A bare name such as admin.jpg may be anybody's; one with the person's id in it is not.
  return suffixes.filter(
    (suffix, from) =>
      from === 0 || suffix.includes('/') || ownerOf(suffix, (id) => id === employeeId).employeeId !== null,
  )
}

function nameOf(path: string): string {
  return path.split(/[\\/]/).at(-1)!
}
