import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { Kysely, PostgresDialect } from 'kysely'
import type { TestProject } from 'vitest/node'
import { embeddedPool } from '../../src/database/embedded.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import type { Tables } from '../../src/database/tables.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** File of a migrated embedded database; loading it takes a sixth of what making one does. */
    embeddedTemplate?: string
  }
}

/** Makes the migrated database that every embedded test database starts as. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-template-'))
  const pglite = await PGlite.create()
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: embeddedPool(pglite) }) })
  await migrateToLatest(db)
  await db.destroy()
  const file = join(folder, 'database.tar')
  await writeFile(file, Buffer.from(await (await pglite.dumpDataDir('none')).arrayBuffer()))
  await pglite.close()
  project.provide('embeddedTemplate', file)
  return () => rm(folder, { recursive: true, force: true })
}
