/** The corners of an eye, and two pairs of points of its upper and lower lid, in the face mesh. */
const eyes = [
  { corners: [33, 133], lids: [160, 144, 158, 153] },
  { corners: [362, 263], lids: [385, 380, 387, 373] },
]

/**
 * How far the eyes are open: the lids' distance over the corners', the mean of both eyes (Soukupová & Čech 2016). Mesh
 * points in picture pixels, three numbers a point.
 */
export function eyeAspectRatio(points: Float32Array): number {
  const distance = (one: number, other: number) =>
    Math.hypot(points[one * 3] - points[other * 3], points[one * 3 + 1] - points[other * 3 + 1])
  const ratios = eyes.map(
    ({ corners, lids }) =>
      (distance(lids[0], lids[1]) + distance(lids[2], lids[3])) / (2 * distance(corners[0], corners[1])),
  )
  return (ratios[0] + ratios[1]) / 2
}
