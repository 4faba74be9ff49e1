import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import type { DetectorSpec } from '../packs/pack.ts'
import * as blazeface from './blazeface.ts'
import type { Detection } from './detection.ts'

/**
 * Finds faces, best score first, in picture pixels. `shrink` below 1 leaves a margin around the picture: a face that fills
 * the whole frame is found only with one.
 */
export function detectFaces(
  _spec: DetectorSpec,
  network: Network,
  picture: Picture,
  shrink = 1,
): Promise<Detection[]> {
  return blazeface.detectFaces(network, picture, shrink)
}
