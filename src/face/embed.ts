import { AppError } from '../shared/errors.ts'
import {
  arcFaceTemplate,
  fitSimilarity,
  invert,
  mirror,
  type Normalization,
  type Point,
  warp,
} from './align.ts'
import type { Picture } from './decode.ts'
import type { Network } from './onnx/session.ts'
import type { NetworkSource } from './onnx/source.ts'

/** One of the networks whose embeddings make the fused one. */
export interface EmbedderSpec {
  network: NetworkSource
  /** Side of the square crop in pixels. */
  sidePx: number
  normalization: Normalization
  /** Where each colour of the network's input is divided by its own number. */
  colourDeviations?: readonly [number, number, number]
  /** Where a point of the ArcFace template (112 x 112) lies in this network's crop. */
  place: (point: Point) => Point
  /** Length of the embedding. */
  dimension: number
  /** Element-wise square root (of what is not negative) before the last normalisation. */
  squareRoot: boolean
  /** Whether the centring mean is subtracted before fusing. */
  centred: boolean
  /** Share of this network's cosine in the fused score. */
  weight: number
}

/**
 * Aligns the face and embeds the crop and its mirror image, in one run where the network takes two pictures at once:
 * a unit vector of `spec.dimension`. Rejects with `model_failure`.
 */
export async function embedFace(
  network: Network,
  spec: EmbedderSpec,
  picture: Picture,
  points: readonly Point[],
): Promise<Float32Array> {
  const { sidePx } = spec
  const length = 3 * sidePx * sidePx
  const crops = new Float32Array(2 * length)
  const toPicture = invert(fitSimilarity(points, arcFaceTemplate.map(spec.place)))
  warp(picture, toPicture, sidePx, spec.normalization, crops)
  if (spec.colourDeviations) divideColours(crops.subarray(0, length), spec.colourDeviations)
  mirror(crops, sidePx, 0, length)
  const both =
    network.batch === 1
      ? [await embeddings(crops.subarray(0, length), 1), await embeddings(crops.subarray(length), 1)].flat()
      : await embeddings(crops, 2)
  const [straight, mirrored] = both.map(unit)
  const sum = unit(straight.map((value, i) => value + mirrored[i]))
  return spec.squareRoot ? unit(sum.map((value) => Math.sqrt(Math.max(0, value)))) : sum

  async function embeddings(input: Float32Array, count: number): Promise<Float32Array[]> {
    const results = await network.run(input, [count, 3, sidePx, sidePx])
    const values = results[network.outputs[0]]
    const each = Array.from({ length: count }, (_, i) =>
      values.slice(i * spec.dimension, (i + 1) * spec.dimension),
    )
    // What has another length is no embedding, and zeros have no direction: neither may become a score.
    if (values.length !== count * spec.dimension || each.some((one) => one.every((value) => value === 0)))
      throw new AppError('model_failure', 'A face model answered what is no embedding; try again.')
    return each
  }
}

function divideColours(crop: Float32Array, deviations: readonly number[]): void {
  const area = crop.length / 3
  for (let i = 0; i < crop.length; i++) crop[i] /= deviations[Math.floor(i / area)]
}

/**
 * Scales a vector to length 1. A vector of zeros is refused with a RangeError: it has no direction, and a model
 * that answers one is broken.
 */
export function unit(vector: Float32Array): Float32Array {
  let sum = 0
  for (const value of vector) sum += value * value
  if (!(sum > 0)) throw new RangeError('a vector of zeros has no direction')
  const scale = 1 / Math.sqrt(sum)
  return vector.map((value) => value * scale)
}

/**
 * What is stored of a face: each network's unit vector, one after the other, not centred, so that the centring mean
 * can be derived again without the photo. Several photos of a person make one: the mean of each part, scaled to 1.
 */
export function averageVectors(
  specs: readonly EmbedderSpec[],
  vectors: readonly Float32Array[],
): Float32Array {
  if (vectors.length === 1) return vectors[0]
  const sum = new Float32Array(vectors[0].length)
  for (const vector of vectors) for (let i = 0; i < sum.length; i++) sum[i] += vector[i]
  return concatenate(parts(specs, sum).map(unit))
}

/**
 * What is compared: the parts centred where their spec says so, each scaled to the root of its weight. The dot
 * product of two of them is the weighted mean of the networks' cosines: the comparison score, -1..1.
 * `mean` is one float per component of the centred parts, in their order.
 */
export function fuse(specs: readonly EmbedderSpec[], stored: Float32Array, mean: Float32Array): Float32Array {
  const total = specs.reduce((sum, spec) => sum + spec.weight, 0)
  let from = 0
  return concatenate(
    parts(specs, stored).map((part, index) => {
      const spec = specs[index]
      const scale = Math.sqrt(spec.weight / total)
      if (!spec.centred) return part.map((value) => value * scale)
      const centre = mean.subarray(from, from + spec.dimension)
      from += spec.dimension
      return unit(part.map((value, i) => value - centre[i])).map((value) => value * scale)
    }),
  )
}

/** The centring mean of a gallery: the mean of the centred parts over one stored vector per person. */
export function centringMean(specs: readonly EmbedderSpec[], stored: readonly Float32Array[]): Float32Array {
  if (stored.length === 0) throw new RangeError('no vectors to take the mean of')
  const mean = new Float64Array(centredLength(specs))
  for (const vector of stored) {
    const centred = concatenate(parts(specs, vector).filter((_, index) => specs[index].centred))
    for (let i = 0; i < mean.length; i++) mean[i] += centred[i] / stored.length
  }
  return Float32Array.from(mean)
}

export function centredLength(specs: readonly EmbedderSpec[]): number {
  return specs.reduce((sum, spec) => sum + (spec.centred ? spec.dimension : 0), 0)
}

function parts(specs: readonly EmbedderSpec[], vector: Float32Array): Float32Array[] {
  const length = specs.reduce((sum, spec) => sum + spec.dimension, 0)
  if (vector.length !== length)
    throw new RangeError(`an embedding has ${vector.length} values instead of ${length}`)
  let from = 0
  return specs.map(({ dimension }) => {
    from += dimension
    return vector.subarray(from - dimension, from)
  })
}

function concatenate(vectors: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(vectors.reduce((sum, vector) => sum + vector.length, 0))
  let at = 0
  for (const vector of vectors) {
    out.set(vector, at)
    at += vector.length
  }
  return out
}
