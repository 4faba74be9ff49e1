import type { EmbedderSpec } from '../embed.ts'
import { measured } from './human-v1.measured.ts'
import type { Pack, PackFile } from './pack.ts'

const human = (name: string, sizeBytes: number, sha256: string, licence: string): PackFile => ({
  package: '@vladmandic/human',
  path: `models/${name}`,
  sizeBytes,
  sha256,
  licence,
})

const faceApi = (name: string, sizeBytes: number, sha256: string): PackFile => ({
  package: '@vladmandic/face-api',
  path: `model/${name}`,
  sizeBytes,
  sha256,
  licence: 'MIT (package); weights of dlib, public domain',
})

/** MobileNet features of human's `faceres`, 1024-d. The mean (Caffe's, BGR) is what its training subtracted. */
const faceres: EmbedderSpec = {
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
  files: {
    blazeface: human(
      'blazeface.json',
      79038,
      'cd7bbfc078270572beb39f9e5ae67aadbd50b5e67cff37e6d4f6b3ea39312e5f',
      'Apache-2.0',
    ),
    blazefaceWeights: human(
      'blazeface.bin',
      538928,
      'dc9a97fdc50bc43216554bdd69aa3e7b9361a519ee7bdd996a2f69a98a6f9b72',
      'Apache-2.0',
    ),
    facemesh: human(
      'facemesh.json',
      95845,
      'b60ca26f404724f43bd2b1575761d8265180e1f053cc0731caa68462927309e7',
      'Apache-2.0',
    ),
    facemeshWeights: human(
      'facemesh.bin',
      1477958,
      '3826da640b0a3021161605369ee6af293f75d518040355b960ec71a3390c1c0b',
      'Apache-2.0',
    ),
    faceres: human(
      'faceres.json',
      71432,
      '5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df',
      'MIT',
    ),
    faceresWeights: human(
      'faceres.bin',
      6978814,
      '2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b',
      'MIT',
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
  embedders: [faceres, resnet],
  dimension: faceres.dimension + resnet.dimension,
  measured,
} satisfies Pack
