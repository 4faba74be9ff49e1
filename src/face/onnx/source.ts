import { readFileSync } from 'node:fs'
import { buildDlibResnet } from './dlib-resnet.ts'
import { replacePrelu } from './prelu.ts'
import { translateGraphModel } from './tfjs-graph.ts'

/** Where a network comes from: which of its pack's files, and what has to be done to make an ONNX model of it. */
export type NetworkSource = { file: string } & (
  | { format: 'onnx' }
  | {
      format: 'tfjs'
      /** Name and shape of the graph's input, as channels x height x width. */
      input: { name: string; shape: [number, number, number] }
      /** Name of each output in the new model -> name of the node that makes it. */
      outputs: Record<string, string>
      /** The number of images in a run: 1 where the graph's own reshapes fix it, else -1 for any. */
      batch: 1 | -1
    }
  | { format: 'dlib-resnet' }
)

/** The ONNX model of a network, from its file at `path`. Throws an Error when the file is no such model. */
export function readModel(source: NetworkSource, path: string): Uint8Array {
  switch (source.format) {
    case 'onnx':
      return replacePrelu(readFileSync(path))
    case 'tfjs':
      return translateGraphModel({ ...source, path })
    case 'dlib-resnet':
      return buildDlibResnet(path)
  }
}
