import type { Picture } from '../../src/face/decode.ts'
import { seededRandom } from '../../src/shared/seeded-random.ts'
import { photograph, room } from './camera.ts'
import { closeEyes, type Head } from './head.ts'
import { type Placement, render } from './render.ts'

/** A head's place before the camera, how it is turned, and how far its eyes are closed, 0 to 1. */
export type HeadPose = Placement & { closed: number }

/** Straight ahead at an arm's length; the origin lies in the neck, below the camera's axis. */
export const straightAhead: HeadPose = { yaw: 0, pitch: 0, roll: 0, x: 0, y: 50, distance: 560, closed: 0 }

/** One frame of a head as RGB, before a background of the camera's size. */
export function renderHead(head: Head, { closed, ...placement }: HeadPose, background: Picture): Picture {
  return render([{ surface: closeEyes(head, closed), placement }], background)
}

/** A head in one pose after the other, in one room, as the camera's JPEGs; what a pose does not say is `straightAhead`. */
export async function filmHead(
  head: Head,
  poses: readonly Partial<HeadPose>[],
  seed: number,
): Promise<Buffer[]> {
  const random = seededRandom(seed)
  const background = await room(random)
  const pictures: Buffer[] = []
  for (const pose of poses)
    pictures.push(await photograph(renderHead(head, { ...straightAhead, ...pose }, background), random))
  return pictures
}
