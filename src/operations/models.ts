import { createWriteStream, existsSync } from 'node:fs'
import { copyFile, rm } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { startEngine } from '../face/engine.ts'
import { lookAtPhotos, measure } from '../face/measure.ts'
import { faultOf, licenceRecord, placeOf } from '../face/packs/locate.ts'
import { type MeasuredFile, measuredPath } from '../face/packs/measured.ts'
import type { Installable, Pack, PackFile } from '../face/packs/pack.ts'
import { makeWithParents, moveIntoPlace, writeWhole } from '../shared/files.ts'
import { openArchive } from './archive.ts'
import { download, type Progress } from './download.ts'

/** A pack's file, and what is wrong with it on this machine: the end of a sentence about it. */
export interface FileState {
  path: string
  fault: string | undefined
}

/** Reads all files of a pack and compares them with its pins. */
export function verifyModels({ files }: Installable, modelPath: string): FileState[] {
  return Object.values(files).map((file) => {
    const path = placeOf(file, modelPath)
    return { path, fault: faultOf(file, path) }
  })
}

/** What is to be said of a pack in a list; 'incomplete' may be one that shares a file with another. */
export function stateOf(
  what: Installable,
  modelPath: string,
): 'installed' | 'damaged' | 'incomplete' | 'not installed' {
  const states = verifyModels(what, modelPath)
  const wrong = states.filter(({ fault }) => fault !== undefined)
  if (wrong.length === 0) return 'installed'
  if (wrong.some(({ path }) => existsSync(path))) return 'damaged'
  const own = Object.values(what.files).filter(({ source }) => source.kind !== 'npm')
  return own.some((file) => existsSync(placeOf(file, modelPath))) ? 'incomplete' : 'not installed'
}

export interface Installation {
  modelPath: string
  /** A folder that the files were brought in; nothing is downloaded then. */
  from?: string
  acceptLicence: boolean
  now: Date
  /** Told as a file comes. */
  progress: (file: string) => Progress
}

/**
 * Brings all files of a pack into `modelPath`: those that are there and right stay, the others come from the folder
 * `from` or are downloaded. Each appears as a whole, or not at all, and only with the hash that is pinned. A download that
 * was cut is continued by the next call.
 * Rejects with a sentence that says what to do.
 */
export async function installModels(what: Installable, installation: Installation): Promise<void> {
  const { modelPath, from } = installation
  await makeWithParents(resolve(modelPath))
  await acknowledgeLicence(what, installation)
  const missing = Object.values(what.files).filter(
    (file) => file.source.kind !== 'npm' && faultOf(file, placeOf(file, modelPath)) !== undefined,
  )
  for (const file of missing)
    if (from !== undefined) await copyFrom(from, file, modelPath)
    else if (file.source.kind === 'url' && file.source.member === undefined)
      await fetchFile(file, file.source.url, installation)
    else if (file.source.kind === 'hand') throw new Error(byHand(file, modelPath))
  if (from === undefined) await fetchPacked(missing, installation)

  const [wrong] = verifyModels(what, modelPath).filter(({ fault }) => fault !== undefined)
  if (wrong) throw new Error(`The file ${wrong.path} ${wrong.fault}. Run "npm install" again.`)
}

/** Writes down, once, that whoever runs this has agreed. */
async function acknowledgeLicence(
  { name, licence }: Installable,
  { modelPath, acceptLicence, now }: Installation,
): Promise<void> {
  const record = licenceRecord(name, modelPath)
  if (!licence.mustBeAccepted || existsSync(record)) return
  if (!acceptLicence)
    throw new Error(
      `The weights of ${name} are under this licence: ${licence.name}. If your use is one that it allows, run this again ` +
        'with --accept-licence; that is written down.',
    )
  await makeWithParents(resolve(modelPath, name))
  await writeWhole(record, `${JSON.stringify({ licence: licence.name, acceptedAt: now.toISOString() })}\n`)
}

async function copyFrom(folder: string, file: PackFile, modelPath: string): Promise<void> {
  const source = join(folder, file.path)
  const fault = faultOf(file, source)
  if (fault) throw new Error(`The file ${source} ${fault}. ${byHand(file, modelPath)}`)
  const place = placeOf(file, modelPath)
  await copyFile(source, `${place}.part`)
  await moveIntoPlace(`${place}.part`, place)
}

async function fetchFile(file: PackFile, url: string, { modelPath, progress }: Installation): Promise<void> {
  const place = placeOf(file, modelPath)
  await downloadOrExplain(url, `${place}.part`, progress(file.path), [file], modelPath)
  await takeOver(file, `${place}.part`, place, url)
}

/** The files that come in a ZIP: each ZIP is fetched once, and thrown away when its files are out of it. */
async function fetchPacked(files: readonly PackFile[], { modelPath, progress }: Installation): Promise<void> {
  const packed = files.flatMap((file) =>
    file.source.kind === 'url' && file.source.member !== undefined
      ? [{ file, url: file.source.url, member: file.source.member }]
      : [],
  )
  for (const url of new Set(packed.map((one) => one.url))) {
    const name = basename(new URL(url).pathname)
    const part = join(modelPath, `${name}.part`)
    const members = packed.filter((one) => one.url === url)
    const fetched = members.map(({ file }) => file)
    await downloadOrExplain(url, part, progress(name), fetched, modelPath)
    try {
      for (const { file, member } of members) {
        const place = placeOf(file, modelPath)
        await unpack(part, member, `${place}.part`, url)
        await takeOver(file, `${place}.part`, place, url)
      }
    } finally {
      await rm(part, { force: true })
    }
  }
}

async function unpack(zip: string, member: string, part: string, url: string): Promise<void> {
  const archive = await openArchive(zip).catch((cause) => {
    throw new Error(`What ${url} sent is no ZIP. It was thrown away; try again.`, { cause })
  })
  try {
    // Wherever it lies in there: its hash is what makes it the right one.
    const name = archive.names.find((entry) => basename(entry) === member)
    const content = name === undefined ? undefined : await archive.read(name)
    if (!content) throw new Error(`The ZIP ${url} has no ${member}.`)
    await pipeline(content, createWriteStream(part))
  } finally {
    archive.close()
  }
}

/** Gives a fetched file its name if it is the pinned one; else it is thrown away. */
async function takeOver(file: PackFile, part: string, place: string, url: string): Promise<void> {
  const fault = faultOf(file, part)
  if (fault) {
    await rm(part, { force: true })
    throw new Error(`What ${url} sent as ${file.path} ${fault}. It was thrown away; try again.`)
  }
  await moveIntoPlace(part, place)
}

async function downloadOrExplain(
  url: string,
  part: string,
  progress: Progress,
  files: readonly PackFile[],
  modelPath: string,
): Promise<void> {
  try {
    await download(url, part, progress)
  } catch (error) {
    const { message, cause } = error as Error
    const advice = files.map((file) => byHand(file, modelPath)).join('\n')
    throw new Error(`${message}\n${advice}`, { cause })
  }
}

/** How a file gets here without this program. */
function byHand({ path, sha256, source }: PackFile, modelPath: string): string {
  const origin =
    source.kind === 'url'
      ? `${source.url}${source.member === undefined ? '' : `, in it ${source.member}`}`
      : 'the folder of test weights'
  return (
    `By hand: put ${path} (${origin}; SHA-256 ${sha256}) into ${modelPath}, or into a folder that you name with --from, ` +
    'and run this again.'
  )
}

/**
 * Measures what a pack's scores mean on photos in `faces`/identity/*.jpg and writes it beside the weights, for a pack that
 * does not carry its own measurement. Returns where, and how many photos it was and of how many no face was found.
 */
export async function measureModels(
  pack: Pack,
  modelPath: string,
  faces: string,
  progress: Progress,
): Promise<{ path: string; photos: number; people: number; missed: number }> {
  const engine = await startEngine({ pack, modelPath })
  try {
    const { photos, people } = await lookAtPhotos(engine, faces, progress)
    const path = measuredPath(pack.name, modelPath)
    const content: MeasuredFile = {
      pack: pack.name,
      files: Object.fromEntries(Object.entries(pack.files).map(([name, { sha256 }]) => [name, sha256])),
      photos: photos.length,
      people: people.length,
      measured: measure(pack, photos),
    }
    await makeWithParents(resolve(modelPath, pack.name))
    await writeWhole(path, `${JSON.stringify(content)}\n`)
    const missed = photos.filter(({ vector }) => vector === null).length
    return { path, photos: photos.length, people: people.length, missed }
  } finally {
    await engine.close()
  }
}
