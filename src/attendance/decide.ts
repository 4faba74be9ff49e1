/** What presentation attack detection says. `unavailable`: nothing was checked, and so nothing passed. */
export type Liveness = 'bona_fide' | 'attack' | 'undecided' | 'unavailable'

/** off: do not look. flag: look, and write the state on the punch. enforce: only bona fide faces punch. */
export type PadPolicy = 'off' | 'flag' | 'enforce'

export type PunchType = 'IN' | 'OUT'

/** One of the people most alike. */
export interface Rival {
  employeeId: string
  confidence: number
  minusLog10Fmr: number
  /** How much surer the first must be than this one, in confidence: .1 is ten times fewer false matches. */
  margin: number
  /** The networks are known to hardly tell this person and the first apart. */
  lookAlike: boolean
}

/** What was seen, compared and known when the decision was made. */
export interface Evidence {
  picture: { kind: 'no_face' } | { kind: 'several_faces' } | { kind: 'face'; quality: number }
  liveness: Liveness
  /** The people most alike, best first. */
  candidates: readonly Rival[]
  /** Two of the pictures show different people. */
  dissent: boolean
  /** Who the person says to be: decides between look-alikes, and nothing else. */
  claimed: string | undefined
  /** The best candidate's newest punch of the requested type, or of any type for AUTO. */
  lastPunch?: { id: number; type: PunchType; at: Date; sameDay: boolean }
  /** False when the best candidate was deactivated after the gallery was searched. */
  candidateIsActive: boolean
  requested: PunchType | 'AUTO'
  /** When the picture was taken. */
  now: Date
}

export interface Rules {
  /** The confidence from which a person is recognised, at the present size of the gallery. */
  threshold: number
  /** The quality below which a face is not compared. */
  minQuality: number
  padPolicy: PadPolicy
  duplicateWindowMs: number
}

export type Decision =
  | { outcome: 'identified'; employeeId: string; type: PunchType; rule: string }
  | { outcome: 'duplicate'; employeeId: string; punchId: number; rule: string }
  /** `lookAlikes`: the people between whom a second factor can decide. */
  | { outcome: 'ambiguous'; rule: string; lookAlikes: string[] }
  | { outcome: Exclude<Outcome, 'identified' | 'duplicate' | 'ambiguous'>; rule: string }

export type Outcome =
  | 'identified'
  | 'not_identified'
  | 'attack'
  | 'undecided'
  | 'no_face'
  | 'several_faces'
  | 'poor_quality'
  | 'ambiguous'
  | 'duplicate'

/** The whole rule of a check-in, in the order in which it is asked. Pure: the same evidence, the same decision. */
export function decide(evidence: Evidence, rules: Rules): Decision {
  const { picture, candidates } = evidence
  if (picture.kind !== 'face') return { outcome: picture.kind, rule: 'exactly one large face is needed' }
  if (picture.quality < rules.minQuality)
    return {
      outcome: 'poor_quality',
      rule: `quality ${show(picture.quality)} is below ${show(rules.minQuality)}`,
    }

  const refused = refuseByPad(evidence.liveness, rules.padPolicy)
  if (refused) return refused

  const [first, ...others] = candidates
  if (!first) return { outcome: 'not_identified', rule: 'nobody is enrolled' }
  if (evidence.dissent)
    return { outcome: 'ambiguous', rule: 'the pictures show different people', lookAlikes: [] }
  if (first.confidence < rules.threshold)
    return {
      outcome: 'not_identified',
      rule: `best confidence ${show(first.confidence)} is below the threshold ${show(rules.threshold)}`,
    }
  const chosen = choose(first, others, evidence.claimed, rules)
  if ('outcome' in chosen) return chosen
  if (!evidence.candidateIsActive)
    return { outcome: 'not_identified', rule: 'the person is no longer active' }
  return punch(evidence, chosen, rules)
}

/** Under `enforce` nothing passes that was not found to be bona fide: neither an attack nor what nobody looked at. */
function refuseByPad(liveness: Liveness, policy: PadPolicy): Decision | undefined {
  if (policy !== 'enforce' || liveness === 'bona_fide') return undefined
  if (liveness === 'attack') return { outcome: 'attack', rule: 'presentation attack detected' }
  return { outcome: 'undecided', rule: `presentation attack detection is enforced and says ${liveness}` }
}

/** Who was recognised, and why. */
interface Chosen {
  employeeId: string
  why: string
}

/** The first candidate, where nobody else is too close; among look-alikes the one whom the person says to be. */
function choose(
  first: Rival,
  others: readonly Rival[],
  claimed: string | undefined,
  { threshold }: Rules,
): Chosen | Decision {
  const close = others.filter((other) => other.minusLog10Fmr > first.minusLog10Fmr - 10 * other.margin)
  if (close.length === 0) return { employeeId: first.employeeId, why: 'above the threshold' }
  if (!close.every(({ lookAlike }) => lookAlike))
    return {
      outcome: 'ambiguous',
      rule: `the second person is closer than the margin of ${show(close[0].margin)}`,
      lookAlikes: [],
    }
  const lookAlikes = [first, ...close]
    .filter(({ confidence }) => confidence >= threshold)
    .map(({ employeeId }) => employeeId)
  if (claimed !== undefined && lookAlikes.includes(claimed))
    return {
      employeeId: claimed,
      why: 'above the threshold, and told from a look-alike by the employee code',
    }
  return {
    outcome: 'ambiguous',
    rule: `a look-alike is closer than the margin of ${show(close[0].margin)}`,
    lookAlikes,
  }
}

/** IN or OUT for somebody who is known, or that they have just punched. */
export function punch(
  { requested, lastPunch, now }: Pick<Evidence, 'requested' | 'lastPunch' | 'now'>,
  { employeeId, why }: Chosen,
  rules: Pick<Rules, 'duplicateWindowMs'>,
): Extract<Decision, { outcome: 'identified' | 'duplicate' }> {
  // Either way round: of two checks at once the later one may be decided first.
  const recent = lastPunch && Math.abs(now.getTime() - lastPunch.at.getTime()) <= rules.duplicateWindowMs
  if (recent && (requested === 'AUTO' || requested === lastPunch.type))
    return {
      outcome: 'duplicate',
      employeeId,
      punchId: lastPunch.id,
      rule: `punched within the last ${rules.duplicateWindowMs / 1000} s`,
    }
  if (requested !== 'AUTO') return { outcome: 'identified', employeeId, type: requested, rule: why }
  const type = lastPunch?.sameDay && lastPunch.type === 'IN' ? 'OUT' : 'IN'
  const because = type === 'OUT' ? 'IN was the last punch of the day' : 'no open IN on this day'
  return { outcome: 'identified', employeeId, type, rule: `${why}; AUTO: ${because}` }
}

const show = (value: number) => value.toFixed(3)
