import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { packageFolder } from './packs/locate.ts'

/** A face in one of the group photos that come with the models, in the photo's pixels. */
const photo = 'demo/sample3.jpg'
const square = { left: 487, top: 260, width: 450, height: 450 }

let picture: Promise<Buffer> | undefined

/** A small JPEG with one face, for engines to be tried with. Rejects when the package that has it is damaged. */
export function testPicture(): Promise<Buffer> {
  picture ??= cutOut()
  return picture
}

async function cutOut(): Promise<Buffer> {
  const bytes = await readFile(join(packageFolder('@vladmandic/face-api'), photo))
  return sharp(bytes).extract(square).resize(256).jpeg().toBuffer()
}
