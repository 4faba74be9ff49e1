import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import type { DetectorSpec } from '../packs/pack.ts'
import { detectWithBlazeface } from './blazeface.ts'
import type { Detection } from './detection.ts'
import { detectWithScrfd } from './scrfd.ts'
import { detectWithYolov8Face } from './yolov8-face.ts'
import { detectWithYunet } from './yunet.ts'

/**
 * Finds faces, best score first, in picture pixels. `shrink` below 1 leaves a margin around the picture: a face that fills
 * the whole frame is found only with one. Rejects with `model_failure`.
 */
export function detectFaces(
  { kind, sidePx }: DetectorSpec,
  network: Network,
  picture: Picture,
  shrink = 1,
): Promise<Detection[]> {
  switch (kind) {
    case 'blazeface':
      return detectWithBlazeface(network, picture, shrink)
    case 'yunet':
      return detectWithYunet(network, sidePx, picture, shrink)
    case 'scrfd':
      return detectWithScrfd(network, sidePx, picture, shrink)
    case 'yolov8-face':
      return detectWithYolov8Face(network, sidePx, picture, shrink)
  }
}
