const parts = ['size', 'sharpness', 'exposure', 'pose', 'occlusion'] as const
type Reason = (typeof parts)[number]

/** What of a photo falls short, as keys of the catalogue. */
export const reasonsOf = (reasons: readonly string[]): Reason[] =>
  parts.filter((part) => reasons.includes(part))
