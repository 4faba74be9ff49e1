/** A face in a picture, in the picture's pixels. */
export interface FaceBox {
  x: number
  y: number
  width: number
  height: number
  /** How sure the detector is, 0..1. */
  score: number
}

/** What the camera sees: nobody, somebody too far away or moving, several people, or one who stands still. */
export type Sight = 'nobody' | 'far' | 'several' | 'moving' | 'still'

const MIN_SCORE = 0.6
/** A face whose side is this share of the picture's shorter side has some 60 pixels between the eyes at 720. */
const MIN_SIDE_SHARE = 0.17
/** As the server has it: a face of this share of the largest one's side may as well be meant. */
const RIVAL_SHARE = 0.6
/** A face that moves or grows by less, in its own sides, stands still. */
const MAX_DRIFT = 0.12
const STILL_MS = 450
/** After an answer the same person is taken again at the earliest. */
const AGAIN_MS = { done: 8000, failed: 2500 }
/** A frame without a face may be a blink of the detector. */
const GONE_MS = 700
/** Two looks at one face overlap at least so much. */
const MIN_OVERLAP = 0.2

/** Watches who walks up, look by look; `see` takes times in milliseconds of any one clock. */
export function watchWalkUps() {
  let still: { box: FaceBox; since: number } | undefined
  let last: { box: FaceBox; at: number } | undefined
  /** Until then whoever was just answered is left in peace. */
  let rest: { until: number } | undefined

  return {
    see(boxes: readonly FaceBox[], picture: { width: number; height: number }, at: number): Sight {
      const [face, ...others] = boxes
        .filter(({ score }) => score >= MIN_SCORE)
        .sort((one, other) => sideOf(other) - sideOf(one))
      if (!face) {
        still = undefined
        if (!last || at - last.at > GONE_MS) rest = last = undefined
        return 'nobody'
      }
      if (last && overlap(last.box, face) < MIN_OVERLAP) rest = undefined
      last = { box: face, at }
      if (!still || drift(still.box, face) > MAX_DRIFT) still = { box: face, since: at }
      if (sideOf(face) < MIN_SIDE_SHARE * Math.min(picture.width, picture.height)) return 'far'
      if (others.some((other) => sideOf(other) >= RIVAL_SHARE * sideOf(face))) return 'several'
      if (rest && at < rest.until) return 'moving'
      return at - still.since >= STILL_MS ? 'still' : 'moving'
    },
    /** Whoever stood there has their answer. */
    answered(how: keyof typeof AGAIN_MS, at: number): void {
      rest = { until: at + AGAIN_MS[how] }
      still = undefined
      if (last) last.at = at
    },
    /** Whether the person in view has their answer already. */
    isResting: (at: number) => rest !== undefined && at < rest.until,
  }
}

const sideOf = ({ width, height }: FaceBox) => Math.sqrt(width * height)

function drift(from: FaceBox, to: FaceBox): number {
  const dx = from.x + from.width / 2 - to.x - to.width / 2
  const dy = from.y + from.height / 2 - to.y - to.height / 2
  return Math.max(Math.hypot(dx, dy), Math.abs(sideOf(from) - sideOf(to))) / sideOf(from)
}

function overlap(one: FaceBox, other: FaceBox): number {
  const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x)
  const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y)
  if (width <= 0 || height <= 0) return 0
  const both = width * height
  return both / (one.width * one.height + other.width * other.height - both)
}
