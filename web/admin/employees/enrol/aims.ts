import type { FaceBox, Sight } from '../../../kiosk/walk-up.ts'

/** The pictures that are taken of a face, in their order; left and right are the person's own. */
export const aims = ['straight', 'left', 'right'] as const
export type Aim = (typeof aims)[number]

/** What is said to whoever stands before the camera. */
export type Hint =
  | 'nobody'
  | 'several'
  | 'closer'
  | 'back'
  | 'centre'
  | 'still'
  | 'straight'
  | 'left'
  | 'right'
  | 'less'
  | 'level'
  | 'light'
  | 'cover'
  | 'busy'
  | 'good'

/** Shares of the picture's shorter side. */
const MIN_SIDE_SHARE = 0.22
const MAX_SIDE_SHARE = 0.75
/** How far from the middle a face may be, in shares of the picture. */
const MAX_OFF_CENTRE = 0.18
/** Degrees: a face that looks straight ahead, and one that is turned enough to show more and not too much to be used. */
const STRAIGHT_YAW = 9
const TURNED_YAW = { least: 10, most: 21 }
/** What a photo needs at least: the server refuses what is below it. */
const MIN_QUALITY = 0.8

/** What is wrong with where a face is; undefined where it stands as it should. */
export function placeFault(
  sight: Sight,
  boxes: readonly FaceBox[],
  picture: { width: number; height: number },
): Hint | undefined {
  if (sight === 'nobody' || sight === 'several') return sight
  const sideOf = ({ width, height }: FaceBox) => Math.sqrt(width * height)
  const [face] = [...boxes].sort((one, other) => sideOf(other) - sideOf(one))
  const share = sideOf(face) / Math.min(picture.width, picture.height)
  if (sight === 'far' || share < MIN_SIDE_SHARE) return 'closer'
  if (share > MAX_SIDE_SHARE) return 'back'
  const offX = Math.abs((face.x + face.width / 2) / picture.width - 0.5)
  const offY = Math.abs((face.y + face.height / 2) / picture.height - 0.5)
  if (Math.max(offX, offY) > MAX_OFF_CENTRE) return 'centre'
  return sight === 'moving' ? 'still' : undefined
}

/** What the server tells of a picture, as far as it matters here. */
interface Look {
  quality: { score: number; reasons: readonly string[] }
  /** Degrees; to the person's own left it is positive. */
  pose: { yaw: number }
}

/** What the server's look at a picture means for one that is to be taken now; `good`: it can be taken. */
export function judge({ quality, pose }: Look, aim: Aim): Hint {
  const turn = turnFault(pose.yaw, aim)
  if (turn) return turn
  if (quality.score >= MIN_QUALITY) return 'good'
  const hints: Record<string, Hint> = {
    occlusion: 'cover',
    exposure: 'light',
    size: 'closer',
    pose: 'level',
    sharpness: 'still',
  }
  return hints[quality.reasons[0]] ?? 'still'
}

function turnFault(yaw: number, aim: Aim): Hint | undefined {
  if (aim === 'straight') return Math.abs(yaw) > STRAIGHT_YAW ? 'straight' : undefined
  const turned = aim === 'left' ? yaw : -yaw
  if (turned > TURNED_YAW.most) return 'less'
  return turned < TURNED_YAW.least ? aim : undefined
}
