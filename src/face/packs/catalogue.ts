import type { EmbedderSpec } from '../embed.ts'
import { humanV1, meshFiles } from './human-v1.ts'
import type { AddOn, DetectorSpec, Licence, Pack, PackFile, PadSpec } from './pack.ts'
import { measured as testMobilefacenetMeasured } from './test-mobilefacenet.measured.ts'

/**
 * The packs that can be installed. No download address could be tried where this was written: what makes a file the
 * right one is its SHA-256, whichever way it came.
 */

const download = (path: string, sha256: string, url: string, sizeBytes: number | null = null): PackFile => ({
  path,
  sha256,
  sizeBytes,
  source: { kind: 'url', url },
})

/** A file of a ZIP, where the pin is that of the file itself. */
const packed = (path: string, sha256: string, url: string): PackFile => ({
  path,
  sha256,
  sizeBytes: null,
  source: { kind: 'url', url, member: path },
})

const byHand = (path: string, sha256: string, sizeBytes: number): PackFile => ({
  path,
  sha256,
  sizeBytes,
  source: { kind: 'hand' },
})

const zoo = 'https://github.com/opencv/opencv_zoo/raw/main/models'
const insightFace = 'https://github.com/deepinsight/insightface/releases/download/v0.7'
const yakhyo = 'https://github.com/yakhyo'

const free = (name: string): Licence => ({ name, mustBeAccepted: false })
const nonCommercial: Licence = {
  name: 'InsightFace model licence: non-commercial research only',
  mustBeAccepted: true,
}

const yunetFile = download(
  'face_detection_yunet_2023mar.onnx',
  '8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4',
  `${zoo}/face_detection_yunet/face_detection_yunet_2023mar.onnx`,
  232589,
)

const yunet: DetectorSpec = {
  kind: 'yunet',
  network: { file: 'detector', format: 'onnx' },
  sidePx: 640,
  clearScore: 0.9,
}
const scrfd: DetectorSpec = { ...yunet, kind: 'scrfd', clearScore: 0.68 }

/** An ArcFace-type embedder: its crop is ArcFace's own. */
const arcFace = (dimension: number, normalization: EmbedderSpec['normalization']): EmbedderSpec => ({
  network: { file: 'embedder', format: 'onnx' },
  sidePx: 112,
  normalization,
  place: (point) => point,
  dimension,
  squareRoot: false,
  centred: false,
  weight: 1,
})

/** What InsightFace and AuraFace were trained with. */
const plusMinusOne: EmbedderSpec['normalization'] = {
  order: 'RGB',
  mean: [127.5, 127.5, 127.5],
  deviation: 127.5,
}

const auraface: Pack = {
  name: 'auraface',
  title: 'AuraFace v1',
  description: 'YuNet and AuraFace, a ResNet-100 trained on licensed data: recommended for companies.',
  licence: free('MIT (YuNet), Apache-2.0 (AuraFace)'),
  files: {
    ...meshFiles,
    detector: yunetFile,
    embedder: download(
      'glintr100.onnx',
      'a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60',
      'https://huggingface.co/fal/AuraFace-v1/resolve/af6d057c9b0ec4071d4c49c80e3539258798b609/glintr100.onnx',
      260694151,
    ),
  },
  detector: yunet,
  points: 'detector',
  embedders: [arcFace(512, plusMinusOne)],
  dimension: 512,
  pad: [],
  measured: null,
}

const buffaloL: Pack = {
  name: 'buffalo_l',
  title: 'InsightFace buffalo_l',
  description: 'SCRFD-10G and a ResNet-50 trained on WebFace600K.',
  licence: nonCommercial,
  files: {
    ...meshFiles,
    detector: packed(
      'det_10g.onnx',
      '5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91',
      `${insightFace}/buffalo_l.zip`,
    ),
    embedder: packed(
      'w600k_r50.onnx',
      '4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43',
      `${insightFace}/buffalo_l.zip`,
    ),
  },
  detector: scrfd,
  points: 'detector',
  embedders: [arcFace(512, plusMinusOne)],
  dimension: 512,
  pad: [],
  measured: null,
}

const buffaloS: Pack = {
  ...buffaloL,
  name: 'buffalo_s',
  title: 'InsightFace buffalo_s',
  description: 'SCRFD-500M and a MobileFaceNet trained on WebFace600K: a small buffalo_l.',
  files: {
    ...meshFiles,
    detector: packed(
      'det_500m.onnx',
      '5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a',
      `${insightFace}/buffalo_s.zip`,
    ),
    embedder: packed(
      'w600k_mbf.onnx',
      '9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f',
      `${insightFace}/buffalo_s.zip`,
    ),
  },
}

const sface: Pack = {
  ...auraface,
  name: 'sface',
  title: 'OpenCV SFace',
  description: 'YuNet and SFace, a MobileFaceNet with 128 values a face: for machines with little CPU.',
  licence: free('MIT (YuNet), Apache-2.0 (SFace)'),
  files: {
    ...meshFiles,
    detector: yunetFile,
    embedder: download(
      'face_recognition_sface_2021dec.onnx',
      '0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79',
      `${zoo}/face_recognition_sface/face_recognition_sface_2021dec.onnx`,
    ),
  },
  // The graph has its own normalisation inside. RGB: OpenCV, whose network it is, swaps its BGR before running it
  // (modules/objdetect/src/face_recognize.cpp).
  embedders: [arcFace(128, { order: 'RGB', mean: [0, 0, 0], deviation: 1 })],
  dimension: 128,
}

const sfaceInt8: Pack = {
  ...sface,
  name: 'sface-int8',
  title: 'OpenCV SFace in 8 bits',
  description: 'As sface, with weights of 8 bits: smaller, and a little less accurate.',
  files: {
    ...sface.files,
    embedder: download(
      'face_recognition_sface_2021dec_int8.onnx',
      '2b0e941e6f16cc048c20aee0c8e31f569118f65d702914540f7bfdc14048d78a',
      `${zoo}/face_recognition_sface/face_recognition_sface_2021dec_int8.onnx`,
    ),
  },
}

/** The embedded pack's embedders, which are aligned by the mesh, behind another detector: a pack like any other. */
const yolov8nFace: Pack = {
  ...humanV1,
  name: 'yolov8n-face',
  title: 'YOLOv8n-face',
  description: 'The embedded pack with YOLOv8n-face as its detector.',
  licence: { name: 'GPL-3.0 (YOLOv8n-face)', mustBeAccepted: true },
  files: {
    ...humanV1.files,
    detector: download(
      'yolov8n-face.onnx',
      '33f3951af7fc0c4d9b321b29cdcd8c9a59d0a29a8d4bdc01fcb5507d5c714809',
      `${yakhyo}/yolov8-face-onnx-inference/releases/download/weights/yolov8n-face.onnx`,
    ),
  },
  detector: { ...yunet, kind: 'yolov8-face', clearScore: 0.7 },
  measured: null,
}

/** What tests and the development machine run: real weights of every kind, none of them meant for a company. */
const testMobilefacenet: Pack = {
  name: 'test-mobilefacenet',
  title: 'MobileFaceNet, for tests',
  description: 'SCRFD-500M, MobileFaceNet and MiniFASNet from a folder of test weights.',
  licence: { name: 'for tests only: SCRFD is non-commercial, the others Apache-2.0', mustBeAccepted: true },
  files: {
    ...meshFiles,
    detector: byHand(
      'det_500m.onnx',
      '5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a',
      2524817,
    ),
    embedder: byHand(
      'mobilefacenet_foamliu.onnx',
      'b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507',
      3998070,
    ),
    pad27: byHand(
      'minifasnet_v2_2.7.onnx',
      'cd3c5e348488fc5fb0548f14bb60078eaf5972449b972a5b5d60536bea97b836',
      1744108,
    ),
    pad40: byHand(
      'minifasnet_v1se_4.0.onnx',
      '202b39d0b9071d08d9deca1a7b864d920a54302fc87731c2fd6c1bfccb9dce64',
      1743276,
    ),
  },
  detector: { ...scrfd, sidePx: 320 },
  points: 'detector',
  embedders: [
    {
      ...arcFace(128, { order: 'RGB', mean: [123.675, 116.28, 103.53], deviation: 1 }),
      // With the mean, ImageNet's, on a scale of 255.
      colourDeviations: [58.395, 57.12, 57.375],
      // Plain scores accept 99.1% instead of 98.9% at one false match in a thousand with it.
      centred: true,
    },
  ],
  dimension: 128,
  pad: padNetworks(),
  measured: testMobilefacenetMeasured,
}

function padNetworks(): PadSpec[] {
  return [
    { network: { file: 'pad27', format: 'onnx' }, scale: 2.7 },
    { network: { file: 'pad40', format: 'onnx' }, scale: 4 },
  ]
}

/** The networks against presentation attacks, which serve any pack. */
export const minifasnet: AddOn = {
  name: 'minifasnet',
  title: 'MiniFASNet',
  description:
    'Sees the edge of a screen or a print in view; works beside any pack, and is never the only control.',
  licence: free('Apache-2.0'),
  files: {
    pad27: download(
      'MiniFASNetV2.onnx',
      'b32929adc2d9c34b9486f8c4c7bc97c1b69bc0ea9befefc380e4faae4e463907',
      `${yakhyo}/face-anti-spoofing/releases/download/weights/MiniFASNetV2.onnx`,
    ),
    pad40: download(
      'MiniFASNetV1SE.onnx',
      'ebab7f90c7833fbccd46d3a555410e78d969db5438e169b6524be444862b3676',
      `${yakhyo}/face-anti-spoofing/releases/download/weights/MiniFASNetV1SE.onnx`,
    ),
  },
  pad: padNetworks(),
}

export const packs: readonly Pack[] = [
  humanV1,
  auraface,
  buffaloL,
  buffaloS,
  sface,
  sfaceInt8,
  yolov8nFace,
  testMobilefacenet,
]

export function findPack(name: string): Pack | undefined {
  return packs.find((pack) => pack.name === name)
}
