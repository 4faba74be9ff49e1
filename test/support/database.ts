import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { PGlite } from '@electric-sql/pglite'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { inject } from 'vitest'
import { type OpenDatabase, openDatabase } from '../../src/database/connect.ts'
import { embeddedPool } from '../../src/database/embedded.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import type { Database, Tables } from '../../src/database/tables.ts'
import { templateName } from './postgres-cluster.ts'

export interface TestDatabase {
  db: Database
  kind: OpenDatabase['kind']
  /** Where the database is; undefined for the embedded one, which is in memory. */
  url: string | undefined
  close(): Promise<void>
}

/**
 * A migrated database of its own for each call: on the server of the postgres project, in memory otherwise.
 * `empty` gives one without any table.
 */
export async function testDatabase(options: { empty?: boolean } = {}): Promise<TestDatabase> {
  const server = inject('databaseUrl')
  return server === undefined ? embeddedDatabase(options) : serverDatabase(server, options)
}

async function serverDatabase(server: string, options: { empty?: boolean }): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`
  await onServer(server, `CREATE DATABASE ${name} TEMPLATE ${options.empty ? 'template0' : templateName}`)
  const url = databaseUrl(server, name)
  const { db, kind, close } = await openDatabase({ url, dataDir: '' })
  return {
    db,
    kind,
    url,
    close: async () => {
      await close()
      await onServer(server, `DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}

async function embeddedDatabase(options: { empty?: boolean }): Promise<TestDatabase> {
  const template = options.empty ? undefined : inject('embeddedTemplate')
  const pglite = await PGlite.create(
    template === undefined ? {} : { loadDataDir: new Blob([await readFile(template)]) },
  )
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: embeddedPool(pglite) }) })
  if (template === undefined && !options.empty) await migrateToLatest(db)
  return {
    db,
    kind: 'embedded',
    url: undefined,
    close: async () => {
      await db.destroy()
      await pglite.close()
    },
  }
}

/** The same server, another database. */
export function databaseUrl(server: string, database: string): string {
  return Object.assign(new URL(server), { pathname: `/${database}` }).href
}

async function onServer(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
