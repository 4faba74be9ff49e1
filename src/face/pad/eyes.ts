/** Of each eye, points of the face mesh: on the upper lid's crease, on its edge and on the lower lid's edge. */
const eyes = [
  [
    [29, 160, 144],
    [27, 159, 145],
    [28, 158, 153],
  ],
  [
    [259, 387, 373],
    [257, 386, 374],
    [258, 385, 380],
  ],
]

/**
 * How far the eyes are open: the gap between the lids over the height of the upper lid's skin, the mean of both eyes. A lid
 * that closes takes from the one and gives to the other, so that this falls twice as deep as the gap over the eye's width
 * (Soukupová & Čech 2016). Mesh points in picture pixels, three numbers a point.
 */
export function eyeOpening(points: Float32Array): number {
  const distance = (one: number, other: number) =>
    Math.hypot(points[one * 3] - points[other * 3], points[one * 3 + 1] - points[other * 3 + 1])
  const openings = eyes.map((eye) => {
    const gap = eye.reduce((sum, [, upper, lower]) => sum + distance(upper, lower), 0)
    return gap / eye.reduce((sum, [crease, upper]) => sum + distance(crease, upper), 0)
  })
  return (openings[0] + openings[1]) / 2
}
