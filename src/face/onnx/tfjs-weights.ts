import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** One constant of a TensorFlow.js model: float32 or int32 values, whatever they were stored as. */
export interface WeightTensor {
  shape: number[]
  values: Float32Array | Int32Array
}

interface WeightEntry {
  name: string
  shape: number[]
  dtype: string
  quantization?: { dtype: string; scale?: number; min?: number }
}

export interface WeightsManifestGroup {
  paths: string[]
  weights: WeightEntry[]
}

/**
 * Reads the weights that a TensorFlow.js manifest lists, from the files beside `manifestPath`.
 * Throws when a file is missing, is shorter or longer than the manifest says, or holds an unknown type.
 */
export function readWeights(
  manifest: WeightsManifestGroup[],
  manifestPath: string,
): Map<string, WeightTensor> {
  const tensors = new Map<string, WeightTensor>()
  for (const group of manifest) {
    const data = Buffer.concat(group.paths.map((path) => readFileSync(join(dirname(manifestPath), path))))
    let offset = 0
    for (const entry of group.weights) {
      const size = entry.shape.reduce((product, side) => product * side, 1)
      const stored = entry.quantization?.dtype ?? entry.dtype
      const bytesPerValue = widths[stored]
      if (bytesPerValue === undefined) throw new Error(`${manifestPath}: unknown weight type ${stored}`)
      const end = offset + size * bytesPerValue
      if (end > data.length) throw new Error(`${manifestPath}: the weights end before ${entry.name}`)
      // A copy, because the values may start at an address that is not a multiple of their width.
      const raw = Uint8Array.from(data.subarray(offset, end)).buffer
      tensors.set(entry.name, { shape: entry.shape, values: dequantize(raw, stored, entry.quantization) })
      offset = end
    }
    if (offset !== data.length)
      throw new Error(`${manifestPath}: ${data.length - offset} bytes of weights are left over`)
  }
  return tensors
}

const widths: Record<string, number> = { float32: 4, int32: 4, float16: 2, uint16: 2, uint8: 1 }

function dequantize(
  raw: ArrayBuffer,
  stored: string,
  quantization: WeightEntry['quantization'],
): Float32Array | Int32Array {
  if (stored === 'float32') return new Float32Array(raw)
  if (stored === 'int32') return new Int32Array(raw)
  if (stored === 'float16') return lookUp(new Uint16Array(raw), halfValues())
  const { scale, min } = quantization ?? {}
  if (scale === undefined || min === undefined) throw new Error(`a ${stored} weight lacks its scale`)
  const whole = stored === 'uint8' ? new Uint8Array(raw) : new Uint16Array(raw)
  const values = new Float32Array(whole.length)
  for (let i = 0; i < whole.length; i++) values[i] = whole[i] * scale + min
  return values
}

function lookUp(indices: Uint16Array, table: Float32Array): Float32Array {
  const values = new Float32Array(indices.length)
  for (let i = 0; i < indices.length; i++) values[i] = table[indices[i]]
  return values
}

let halves: Float32Array | undefined

/** The value of each of the 65,536 half-precision patterns: decoding millions one by one takes seconds. */
function halfValues(): Float32Array {
  halves ??= Float32Array.from({ length: 65536 }, (_, half) => halfToFloat(half))
  return halves
}

/** IEEE 754 binary16 to a number. */
function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}
