import type { EmbedderSpec } from '../embed.ts'

/** A file that a pack needs, pinned: a file that differs is never loaded. */
export interface PackFile {
  /** The npm package that ships it, and where it lies in there. */
  package: string
  path: string
  sizeBytes: number
  sha256: string
  licence: string
}

/** What a comparison score means: points of a monotone curve from the score to the false-match rate. */
export interface ScoreTable {
  /** Rising scores, each with -log10 of its false-match rate. */
  points: readonly (readonly [score: number, minusLog10Fmr: number])[]
  /** Above this value of -log10(FMR) the curve is a fitted tail, not a count. */
  countedTo: number
}

/** What was measured with a pack, by `npm run evaluate -- --faces DIR --write`. */
export interface Measured {
  /** The centring mean used until a gallery has enough people for its own: Float32, little-endian, base64. */
  defaultMean: string
  /** For plain scores, and for scores normalised against a cohort: the two scales are never mixed. */
  raw: ScoreTable
  normalised: ScoreTable
}

/** Everything that sets one combination of networks apart from another. */
export interface Pack {
  name: string
  files: Record<string, PackFile>
  embedders: readonly EmbedderSpec[]
  /** Length of a stored vector and of a compared one. */
  dimension: number
  measured: Measured
}
