import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FaceEngine } from '../../src/face/engine.ts'
import { lookAtPhotos, measure } from '../../src/face/measure.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { AppError } from '../../src/shared/errors.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rollcall-measure-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** An engine that sees no face in anything, and no picture in what is empty. */
const engine = {
  analyse: async (bytes: Uint8Array) => {
    if (bytes.length === 0) throw new AppError('invalid_image', 'This is no picture.')
    return { kind: 'no_face' }
  },
} as unknown as FaceEngine

/** So many people, each with so many photos. */
function write(people: number, photos: number): void {
  for (let person = 0; person < people; person++) {
    const own = join(folder, `P${String(person).padStart(3, '0')}`)
    mkdirSync(own)
    for (let photo = 0; photo < photos; photo++) writeFileSync(join(own, `${photo}.jpg`), 'picture')
  }
}

const look = () => lookAtPhotos(engine, folder, () => {})

describe('a folder of photos', () => {
  test('is looked at person by person', async () => {
    write(50, 2)
    const { photos, people } = await look()
    expect([people.length, photos.length]).toEqual([50, 100])
    expect(photos.slice(0, 3)).toMatchObject([{ person: 0, vector: null }, { person: 0 }, { person: 1 }])
  })

  test('of few people is refused, however many photos there are of each', async () => {
    write(49, 10)
    await expect(look()).rejects.toThrow(/photos of 49 people in .*\. At least 50 are needed/)
  })

  test('counts nobody of whom there is no photo', async () => {
    write(50, 1)
    rmSync(join(folder, 'P000', '0.jpg'))
    writeFileSync(join(folder, 'P000', 'notes.txt'), '')
    await expect(look()).rejects.toThrow(/photos of 49 people/)
  })

  test('is told which of its files is no picture', async () => {
    write(50, 1)
    writeFileSync(join(folder, 'P031', '0.jpg'), '')
    await expect(look()).rejects.toThrow(
      `The photo ${join(folder, 'P031', '0.jpg')} cannot be looked at: This is no picture.`,
    )
  })

  test('says nothing where too few of its people show a face', async () => {
    write(50, 1)
    const { photos } = await look()
    expect(() => measure(humanV1, photos)).toThrow('A face was found on photos of 0 people. At least 50')
  })

  test('that is not there is named', async () => {
    await expect(lookAtPhotos(engine, join(folder, 'other'), () => {})).rejects.toThrow(
      `There is no folder ${join(folder, 'other')}.`,
    )
  })
})
