import type { EmbedderSpec } from '../embed.ts'
import type { NetworkSource } from '../onnx/source.ts'

/** A file that a pack needs, pinned: a file that differs is never loaded. */
export interface PackFile {
  /** Its name in MODEL_PATH; for a file of an npm package, where it lies in there. */
  path: string
  sha256: string
  /** Null where only the hash is known. */
  sizeBytes: number | null
  source: FileSource
}

/** How a file gets onto this machine. Whatever the way, it can also be brought by hand. */
export type FileSource =
  | { kind: 'npm'; package: string }
  /** `member`: the address is that of a ZIP, and this the file in it. */
  | { kind: 'url'; url: string; member?: string }
  | { kind: 'hand' }

/** Of the weights, not of this program. */
export interface Licence {
  name: string
  /** It restricts the use (no commercial one, say), so that whoever installs the weights has to agree. */
  mustBeAccepted: boolean
}

/** Which network finds the faces. All but blazeface's answer is decoded into the five points that faces are aligned by. */
export interface DetectorSpec {
  kind: 'blazeface' | 'yunet' | 'scrfd' | 'yolov8-face'
  network: NetworkSource
  /** Side of the square input in pixels. */
  sidePx: number
  /** The score that 99 of 100 clear faces reach: each detector has a scale of its own. */
  clearScore: number
}

/** A network that judges whether a face is a presentation attack, from a crop of its box's size times `scale`. */
export interface PadSpec {
  network: NetworkSource
  scale: number
}

/** What a comparison score means: points of a monotone curve from the score to the false-match rate. */
export interface ScoreTable {
  /** Rising scores, each with -log10 of its false-match rate. */
  points: readonly (readonly [score: number, minusLog10Fmr: number])[]
  /** Above this value of -log10(FMR) the curve is a fitted tail, not a count. */
  countedTo: number
}

/** What was measured with a pack, by `npm run evaluate -- --faces DIR --write` or `rollcall models measure`. */
export interface Measured {
  /** The centring mean used until a gallery has enough people for its own: Float32, little-endian, base64. */
  defaultMean: string
  /** For plain scores, and for scores normalised against a cohort: the two scales are never mixed. */
  raw: ScoreTable
  normalised: ScoreTable
}

/** Weights that can be brought onto this machine. */
export interface Installable {
  name: string
  /** What it is, in a few words and in a sentence. */
  title: string
  description: string
  licence: Licence
  files: Readonly<Record<string, PackFile>>
}

/** Everything that sets one combination of networks apart from another. */
export interface Pack extends Installable {
  detector: DetectorSpec
  /** Which five points the face is aligned by for the embedders: those that their training took. */
  points: 'mesh' | 'detector'
  embedders: readonly EmbedderSpec[]
  /** Length of a stored vector and of a compared one. */
  dimension: number
  /** Networks against presentation attacks that belong to the pack itself; empty: those of the add-on, where it is. */
  pad: readonly PadSpec[]
  /** Null where the weights could not be measured when this was written: see `measuredOf`. */
  measured: Measured | null
}

/** What works beside any pack, where it is installed. */
export interface AddOn extends Installable {
  pad: readonly PadSpec[]
}
