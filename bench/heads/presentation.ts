import type { Picture } from '../../src/face/decode.ts'
import type { Surface } from './render.ts'

/** How a sheet is bent: about an axis through its middle, to a cylinder of this radius; positive: its middle comes nearer. */
export interface Bend {
  axis: 'upright' | 'level'
  radiusMm: number
}

const CELLS = 24

/** A sheet with a picture on it, `widthMm` across, flat or bent. */
export function sheet(texture: Picture, widthMm: number, bend?: Bend): Surface {
  const heightMm = (widthMm * texture.height) / texture.width
  const side = CELLS + 1
  const positions = new Float32Array(3 * side * side)
  const uv = new Float32Array(2 * side * side)
  const triangles: number[] = []
  for (let row = 0; row < side; row++)
    for (let column = 0; column < side; column++) {
      const corner = row * side + column
      const [across, down] = [column / CELLS, row / CELLS]
      positions.set(bent((across - 0.5) * widthMm, (down - 0.5) * heightMm, bend), 3 * corner)
      uv.set([across * (texture.width - 1), down * (texture.height - 1)], 2 * corner)
      if (row === CELLS || column === CELLS) continue
      triangles.push(corner, corner + 1, corner + side, corner + 1, corner + side + 1, corner + side)
    }
  const whole = new Float32Array(side * side).fill(1)
  return { positions, uv, alpha: whole, light: whole, triangles: Uint16Array.from(triangles), texture }
}

function bent(x: number, y: number, bend?: Bend): [number, number, number] {
  if (!bend) return [x, y, 0]
  const radius = bend.radiusMm
  const angle = (bend.axis === 'upright' ? x : y) / radius
  const [along, back] = [radius * Math.sin(angle), radius * (1 - Math.cos(angle))]
  return bend.axis === 'upright' ? [along, y, back] : [x, along, back]
}

/** A photo as a printer puts it on paper: less black, a white edge. */
export function printed({ data, width, height }: Picture): Picture {
  const edge = Math.round(width / 30)
  const paper = new Uint8Array(3 * width * height).fill(235)
  for (let y = edge; y < height - edge; y++)
    for (let x = edge; x < width - edge; x++)
      for (let channel = 0; channel < 3; channel++) {
        const at = 3 * (y * width + x) + channel
        paper[at] = 28 + 0.8 * data[at]
      }
  return { data: paper, width, height }
}

/**
 * A picture as a screen shows it to a camera: brighter in the middle tones, bluish, with the beat between the screen's
 * pixels and the camera's (moire) at `phase`, in a dark bezel.
 */
export function displayed({ data, width, height }: Picture, phase: number): Picture {
  const bezel = Math.round(width / 25)
  const shown = new Uint8Array(3 * width * height).fill(18)
  for (let y = bezel; y < height - bezel; y++)
    for (let x = bezel; x < width - bezel; x++)
      for (let channel = 0; channel < 3; channel++) {
        const at = 3 * (y * width + x) + channel
        const beat =
          1 + 0.05 * Math.sin(0.9 * x + 0.13 * y + phase + channel) * Math.sin(0.11 * x - 0.7 * y + phase)
        const light = 255 * (data[at] / 255) ** 0.85 * beat
        shown[at] = Math.min(255, 12 + light * [0.9, 0.93, 0.98][channel])
      }
  return { data: shown, width, height }
}
