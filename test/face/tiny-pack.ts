import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createGraphWriter } from '../../src/face/onnx/graph-writer.ts'
import { meshFiles } from '../../src/face/packs/human-v1.ts'
import type { Pack, PackFile } from '../../src/face/packs/pack.ts'

/**
 * SCRFD's nine outputs, on 64 x 64 pixels, with one face whatever the picture: about where the portrait `frontal` has it.
 * It is said by the first anchor of cell 3 at stride 32, whose corner is (32, 32): 13 pixels to the left, 19.5 up and so on.
 */
export function tinyDetector(): Uint8Array {
  const graph = createGraphWriter('detector')
  graph.input('picture', [1, 3, 64, 64])
  const kinds = [
    [0.9],
    [13, 19.5, 13, 13.5].map((pixels) => pixels / 32),
    [-6, -7, 6, -7, 0, 0, -5, 5.5, 5, 5.5].map((pixels) => pixels / 32),
  ]
  for (const values of kinds)
    for (const cells of [64, 16, 4]) {
      // Zeros alone would be a broken network's.
      const output = new Float32Array(cells * 2 * values.length).fill(1e-9)
      if (cells === 4) output.set(values, 6 * values.length)
      graph.output(`${values.length}-${cells}`, graph.floats(output, [cells * 2, values.length]))
    }
  return graph.toBytes()
}

/** Answers the mean of each colour of the crop; `times` something that is no number or zero makes it a broken one. */
export function tinyEmbedder(batch: 1 | -1, times = 1): Uint8Array {
  const graph = createGraphWriter('embedder')
  const input = graph.input('crop', [batch, 3, 112, 112])
  const means = graph.node('ReduceMean', [input], { axes: [2, 3], keepdims: 0 })
  graph.output('7', graph.node('Mul', [means, graph.floats(Float32Array.of(times), [1])]))
  return graph.toBytes()
}

/** Always the same logits: attack on paper, bona fide, attack on a screen. */
export function tinyPad(logits: number[]): Uint8Array {
  const graph = createGraphWriter('pad')
  graph.input('crop', [1, 3, 80, 80])
  graph.output('logits', graph.floats(Float32Array.from(logits), [1, 3]))
  return graph.toBytes()
}

/** Writes the files of a pack of tiny networks into `modelPath` and returns it, pinned. */
export function writeTinyPack(
  modelPath: string,
  models: { detector?: Uint8Array; embedder?: Uint8Array; pad?: Uint8Array[] } = {},
): Pack {
  const { detector = tinyDetector(), embedder = tinyEmbedder(-1), pad = [] } = models
  const files: Record<string, PackFile> = { ...meshFiles }
  const write = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(modelPath, `${name}.onnx`), bytes)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    files[name] = { path: `${name}.onnx`, sha256, sizeBytes: bytes.length, source: { kind: 'hand' } }
    return { file: name, format: 'onnx' as const }
  }
  return {
    name: 'tiny',
    title: 'Tiny networks',
    description: 'Networks that a test wrote.',
    licence: { name: 'MIT', mustBeAccepted: false },
    files,
    detector: { kind: 'scrfd', network: write('detector', detector), sidePx: 64, clearScore: 0.7 },
    points: 'detector',
    embedders: [
      {
        network: write('embedder', embedder),
        sidePx: 112,
        normalization: { order: 'RGB', mean: [127.5, 127.5, 127.5], deviation: 127.5 },
        place: (point) => point,
        dimension: 3,
        squareRoot: false,
        centred: false,
        weight: 1,
      },
    ],
    dimension: 3,
    pad: pad.map((bytes, index) => ({ network: write(`pad${index}`, bytes), scale: 2.7 })),
    measured: null,
  }
}
