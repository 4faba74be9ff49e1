import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Picture } from '../../src/face/decode.ts'
import type { Box } from '../../src/face/detect/detection.ts'
import { sessionOptions } from '../../src/face/onnx/session.ts'

const SIDE_PX = 80
const BONA_FIDE = 1
const models = [
  { file: 'minifasnet_v2_2.7.onnx', scale: 2.7 },
  { file: 'minifasnet_v1se_4.0.onnx', scale: 4 },
]

/** Both networks' mean probability that a face is bona fide, 0..1. */
export type ModelScore = (picture: Picture, face: Box) => Promise<number>

/** Opens the two MiniFASNets (Silent-Face-Anti-Spoofing, 2020) that lie in a folder. */
export async function openMiniFasNet(folder: string): Promise<ModelScore> {
  const sessions = await Promise.all(
    models.map(async ({ file, scale }) => ({
      scale,
      session: await InferenceSession.create(readFileSync(join(folder, file)), sessionOptions),
    })),
  )
  return async (picture, face) => {
    let sum = 0
    for (const { scale, session } of sessions) {
      const input = new Tensor('float32', crop(picture, face, scale), [1, 3, SIDE_PX, SIDE_PX])
      const outputs = await session.run({ [session.inputNames[0]]: input })
      sum += softmax(outputs[session.outputNames[0]].data as Float32Array)[BONA_FIDE] / sessions.length
    }
    return sum
  }
}

/** The face with what is around it, as BGR planes of 0..255: `scale` times its box, moved into the picture. */
function crop({ data, width, height }: Picture, box: Box, wanted: number): Float32Array {
  const scale = Math.min((height - 1) / box.height, (width - 1) / box.width, wanted)
  const [w, h] = [box.width * scale, box.height * scale]
  const left = Math.trunc(Math.min(Math.max(box.x + box.width / 2 - w / 2, 0), width - 1 - w))
  const top = Math.trunc(Math.min(Math.max(box.y + box.height / 2 - h / 2, 0), height - 1 - h))
  const [columns, rows] = [Math.trunc(left + w) - left + 1, Math.trunc(top + h) - top + 1]
  const area = SIDE_PX * SIDE_PX
  const planes = new Float32Array(3 * area)
  for (let y = 0; y < SIDE_PX; y++)
    for (let x = 0; x < SIDE_PX; x++) {
      const u = Math.min(Math.max(((x + 0.5) * columns) / SIDE_PX - 0.5, 0), columns - 1.001) + left
      const v = Math.min(Math.max(((y + 0.5) * rows) / SIDE_PX - 0.5, 0), rows - 1.001) + top
      const [column, row] = [Math.floor(u), Math.floor(v)]
      const [fx, fy] = [u - column, v - row]
      const at = 3 * (row * width + column)
      for (let channel = 0; channel < 3; channel++) {
        const upper = data[at + channel] * (1 - fx) + data[at + 3 + channel] * fx
        const below = at + 3 * width + channel
        const lower = data[below] * (1 - fx) + data[below + 3] * fx
        planes[(2 - channel) * area + y * SIDE_PX + x] = upper * (1 - fy) + lower * fy
      }
    }
  return planes
}

function softmax(logits: Float32Array): number[] {
  const most = Math.max(...logits)
  const powers = Array.from(logits, (value) => Math.exp(value - most))
  const sum = powers.reduce((total, value) => total + value, 0)
  return powers.map((value) => value / sum)
}
