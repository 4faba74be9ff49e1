import { z } from 'zod'

const bars = z
  .array(z.int())
  .describe('How many comparisons are in each step; the ends hold what lies beyond')

const curve = z.object({
  from: z.number().describe('Where the first step begins'),
  step: z.number(),
  genuine: bars,
  impostor: bars,
})

export const curvesSchema = z.object({
  score: curve.describe('Over the comparison score'),
  minus_log10_fmr: curve.describe(
    "Over -log10 of the false-match rate that the pack's table gives the score",
  ),
})

/** Genuine and impostor scores, counted in steps. */
export type Curves = z.infer<typeof curvesSchema>

const ranges = {
  score: { from: -1, step: 0.02, steps: 100 },
  minus_log10_fmr: { from: 0, step: 0.1, steps: 120 },
}

export function noCurves(): Curves {
  const empty = ({ from, step, steps }: (typeof ranges)['score']) => ({
    from,
    step,
    genuine: Array<number>(steps).fill(0),
    impostor: Array<number>(steps).fill(0),
  })
  return { score: empty(ranges.score), minus_log10_fmr: empty(ranges.minus_log10_fmr) }
}

/** Counts a comparison. */
export function addTo(curves: Curves, kind: 'genuine' | 'impostor', score: number, decades: number): void {
  const count = ({ from, step, [kind]: counts }: Curves['score'], value: number) => {
    const at = Math.floor((value - from) / step)
    counts[Math.min(counts.length - 1, Math.max(0, at))]++
  }
  count(curves.score, score)
  count(curves.minus_log10_fmr, decades)
}

export const tailSchema = z.object({
  start: z.number(),
  share: z.number(),
  slope: z.number(),
  comparisons: z.int(),
  censored: z.int(),
  replicates: z.array(z.tuple([z.number(), z.number()])),
})

/** What is kept of a calibration beside what the search needs. */
export const storedReport = z.object({
  scale: z.enum(['raw', 'normalised']),
  /** How many people were compared with each other, and how many comparisons that made. */
  compared: z.int(),
  comparisons: z.int(),
  tail: tailSchema.nullable(),
  curves: curvesSchema,
})

export type StoredReport = z.infer<typeof storedReport>
