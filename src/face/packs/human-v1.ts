import { blazefaceOutputs } from '../detect/blazeface.ts'
import type { EmbedderSpec } from '../embed.ts'
import { meshOutputs } from '../mesh.ts'
import type { NetworkSource } from '../onnx/source.ts'
import { measured } from './human-v1.measured.ts'
import type { Pack, PackFile } from './pack.ts'

const inPackage =
  (name: string, folder: string) =>
  (file: string, sizeBytes: number, sha256: string): PackFile => ({
    path: `${folder}/${file}`,
    sizeBytes,
    sha256,
    source: { kind: 'npm', package: name },
  })
const human = inPackage('@vladmandic/human', 'models')
const faceApi = inPackage('@vladmandic/face-api', 'model')

/** The mesh, which measures the faces of every pack. */
export const meshFiles = {
  facemesh: human('facemesh.json', 95845, 'b60ca26f404724f43bd2b1575761d8265180e1f053cc0731caa68462927309e7'),
  facemeshWeights: human(
    'facemesh.bin',
    1477958,
    '3826da640b0a3021161605369ee6af293f75d518040355b960ec71a3390c1c0b',
  ),
}

export const meshNetwork: NetworkSource = {
  file: 'facemesh',
  format: 'tfjs',
  input: { name: 'input_1', shape: [3, 192, 192] },
  outputs: meshOutputs,
  batch: 1,
}

/** MobileNet features of human's `faceres`, 1024-d. The mean (Caffe's, BGR) is what its training subtracted. */
const faceres: EmbedderSpec = {
  network: {
    file: 'faceres',
    format: 'tfjs',
    input: { name: 'input_1', shape: [3, 224, 224] },
    outputs: { embedding: 'global_pooling/Mean' },
    batch: -1,
  },
  sidePx: 224,
  normalization: { order: 'BGR', mean: [123.68, 116.779, 103.939], deviation: 1 },
  place: ([x, y]) => [112 + (2 * x - 112) * 0.9, 112 + (2 * y - 112) * 0.9],
  dimension: 1024,
  squareRoot: true,
  centred: true,
  weight: 1,
}

/**
 * dlib's face ResNet as face-api ships it, 128-d. Its scores are less spread than those of faceres, hence the weight;
 * of those tried 6 measured best.
 */
const resnet: EmbedderSpec = {
  network: { file: 'resnet', format: 'dlib-resnet' },
  sidePx: 150,
  normalization: { order: 'RGB', mean: [122.782, 117.001, 104.298], deviation: 255 },
  place: ([x, y]) => [75 + ((x * 150) / 112 - 75) * 1.12, 75 + ((y * 150) / 112 - 75) * 1.12 - 19],
  dimension: 128,
  squareRoot: false,
  centred: false,
  weight: 6,
}

/** The embedded pack: works with nothing but what npm installs. */
export const humanV1 = {
  name: 'human-v1',
  title: 'embedded pack',
  description: 'BlazeFace, faceres and a face ResNet out of npm packages: always there, nothing to install.',
  licence: { name: 'Apache-2.0 and MIT; weights of dlib: public domain', mustBeAccepted: false },
  files: {
    blazeface: human(
      'blazeface.json',
      79038,
      'cd7bbfc078270572beb39f9e5ae67aadbd50b5e67cff37e6d4f6b3ea39312e5f',
    ),
    blazefaceWeights: human(
      'blazeface.bin',
      538928,
      'dc9a97fdc50bc43216554bdd69aa3e7b9361a519ee7bdd996a2f69a98a6f9b72',
    ),
    ...meshFiles,
    faceres: human('faceres.json', 71432, '5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df'),
    faceresWeights: human(
      'faceres.bin',
      6978814,
      '2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b',
    ),
    resnet: faceApi(
      'face_recognition_model-weights_manifest.json',
      19615,
      'cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b',
    ),
    resnetWeights: faceApi(
      'face_recognition_model.bin',
      6444032,
      'b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589',
    ),
  },
  detector: {
    kind: 'blazeface',
    network: {
      file: 'blazeface',
      format: 'tfjs',
      input: { name: 'input', shape: [3, 256, 256] },
      outputs: blazefaceOutputs,
      batch: 1,
    },
    sidePx: 256,
    clearScore: 0.78,
  },
  points: 'mesh',
  embedders: [faceres, resnet],
  dimension: faceres.dimension + resnet.dimension,
  pad: [],
  measured,
} satisfies Pack
