import type { Detection } from './detection.ts'

// How the numbers of the network are read: nothing here needs Node, because the kiosk's page runs the network as well.

export const INPUT_SIDE_PX = 256
export const MAX_OVERLAP = 0.3
const MIN_SCORE = 0.3
const KEY_POINTS = 6

/** The cells' centres in input pixels: two anchors a cell at stride 16, then six at stride 32. */
const grids = [
  { scores: 'scores16', boxes: 'boxes16', stridePx: 16, anchorsPerCell: 2 },
  { scores: 'scores32', boxes: 'boxes32', stridePx: 32, anchorsPerCell: 6 },
] as const

/** The faces above the score limit, in input pixels: a box is offset and size from its cell's centre. */
export function decodeBoxes(outputs: Record<string, Float32Array>): Detection[] {
  const faces: Detection[] = []
  for (const { scores, boxes, stridePx, anchorsPerCell } of grids) {
    const cells = INPUT_SIDE_PX / stridePx
    for (let anchor = 0; anchor < outputs[scores].length; anchor++) {
      const score = 1 / (1 + Math.exp(-outputs[scores][anchor]))
      if (score < MIN_SCORE) continue
      const cell = Math.floor(anchor / anchorsPerCell)
      const centreX = ((cell % cells) + 0.5) * stridePx
      const centreY = (Math.floor(cell / cells) + 0.5) * stridePx
      const values = outputs[boxes].subarray(anchor * 16, anchor * 16 + 16)
      const [width, height] = [values[2], values[3]]
      faces.push({
        score,
        box: { x: centreX + values[0] - width / 2, y: centreY + values[1] - height / 2, width, height },
        points: Array.from({ length: KEY_POINTS }, (_, k) => [
          centreX + values[4 + 2 * k],
          centreY + values[5 + 2 * k],
        ]),
      })
    }
  }
  return faces
}
