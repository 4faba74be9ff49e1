/** Adaptive score normalisation: a score judged against how the same two faces score with other people. */

/** How many of the highest cohort scores are averaged; 10 measured best on cohorts of 100 to 200 people. */
export const COHORT_TOP = 10

/**
 * How a face scores with the people who resemble it most: the mean of its highest scores.
 * @param scores of a probe or template against one template of each *other* person of the cohort
 * @throws RangeError when there is no score, or one is not finite
 */
export function cohortMean(scores: ArrayLike<number>, top = COHORT_TOP): number {
  if (scores.length === 0) throw new RangeError('A cohort needs at least one score.')
  // Few are wanted of many: a short descending list beats sorting them all.
  const highest: number[] = []
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]
    if (!Number.isFinite(score)) throw new RangeError('A score of the cohort is not finite.')
    if (highest.length === top && score <= highest[top - 1]) continue
    let at = highest.length
    while (at > 0 && highest[at - 1] < score) at--
    highest.splice(at, 0, score)
    if (highest.length > top) highest.pop()
  }
  return highest.reduce((sum, score) => sum + score, 0) / highest.length
}

/**
 * The symmetric normalised score: how far the score lies above what the probe and the template reach with others.
 *
 * This is adaptive symmetric normalisation (AS-norm; Matejka et al., "Analysis of Score Normalization in
 * Multilingual Speaker Recognition", Interspeech 2017) without its division by the deviations: estimated from a few
 * scores of a tail, they cost more at low false-match rates than they bring (docs/ACCURACY.md).
 * @returns in units of the score, about 0 for a look-alike: thresholds for raw scores do not apply to it
 */
export function normaliseScore(score: number, probeMean: number, templateMean: number): number {
  return score - (probeMean + templateMean) / 2
}
