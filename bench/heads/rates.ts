/** A share of so many, with its 95% interval. */
export interface Rate {
  count: number
  of: number
  interval: [low: number, high: number]
}

/** The 95% interval of a share by Wilson's score (Wilson 1927); of none it is 0 to 1. */
export function rateOf(count: number, of: number): Rate {
  if (of === 0) return { count, of, interval: [0, 1] }
  const z = 1.959964
  const share = count / of
  const middle = share + (z * z) / (2 * of)
  const half = z * Math.sqrt((share * (1 - share)) / of + (z * z) / (4 * of * of))
  const whole = 1 + (z * z) / of
  return { count, of, interval: [Math.max(0, (middle - half) / whole), Math.min(1, (middle + half) / whole)] }
}

/** Pearson's correlation of pairs, the slope of the best line through them and the mean distance of their two numbers. */
export function agreement(pairs: readonly (readonly [number, number])[]) {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [mean(pairs.map(([one]) => one)), mean(pairs.map(([, other]) => other))]
  const together = mean(pairs.map(([one, other]) => (one - x) * (other - y)))
  const [varX, varY] = [
    mean(pairs.map(([one]) => (one - x) ** 2)),
    mean(pairs.map(([, other]) => (other - y) ** 2)),
  ]
  return {
    correlation: together / Math.sqrt(varX * varY),
    slope: together / varX,
    meanError: mean(pairs.map(([one, other]) => Math.abs(one - other))),
  }
}
