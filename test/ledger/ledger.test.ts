import { createHash, createHmac } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../src/database/tables.ts'
import { cliAuthor, type Ledger, note, openLedger, release } from '../../src/ledger/ledger.ts'
import { createLogger } from '../../src/shared/log.ts'
import { type TestDatabase, testDatabase } from '../support/database.ts'

const key = Buffer.alloc(32, 7)
const now = new Date('2025-03-03T01:00:00Z')
const hr = { by: 'user:3', from: '192.0.2.7', route: 'POST /api/v1/employees', request_id: 'r-1' }

let database: TestDatabase
let db: Database
let folder: string
let ledger: Ledger

const open = () =>
  openLedger({
    db,
    clock: { now: () => now },
    log: createLogger({ level: 'silent' }),
    key,
    keyFolder: folder,
    headsFile: join(folder, 'heads.jsonl'),
  })

beforeEach(async () => {
  database = await testDatabase()
  db = database.db
  folder = await mkdtemp(join(tmpdir(), 'rollcall-ledger-'))
  ledger = await open()
})

afterEach(async () => {
  await ledger.close()
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

async function addPerson(employeeId: string, name = employeeId): Promise<void> {
  await ledger.by(hr)((trx) =>
    trx.insertInto('employees').values({ employee_id: employeeId, name }).execute(),
  )
}

async function punch(employeeId: string, time = '2025-03-03T01:00:00Z'): Promise<number> {
  return ledger.punches(async (trx) => {
    const decision = await trx
      .insertInto('decisions')
      .values({ kind: 'manual', outcome: 'entered', employee_id: employeeId, record: '{}' })
      .returning('id')
      .executeTakeFirstOrThrow()
    const { id } = await trx
      .insertInto('attendance')
      .values({
        employee_id: employeeId,
        timestamp: new Date(time),
        attendance_type: 'IN',
        confidence_score: 0.8125,
        liveness: 'unavailable',
        decision_id: decision.id,
        notes: 'ghi chú',
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return id
  })
}

async function headAt(seq: number): Promise<{ seq: number; mac: string }> {
  const row = await db
    .selectFrom('ledger')
    .select('mac')
    .where('seq', '=', String(seq))
    .executeTakeFirstOrThrow()
  return { seq, mac: Buffer.from(row.mac).toString('hex') }
}

/** What somebody does who owns the database and wants nobody to see it: the last entries go, with their rows. */
async function cutTo(seq: number): Promise<void> {
  await sql`DELETE FROM attendance WHERE id IN (SELECT row_id FROM ledger WHERE seq > ${seq} AND kind = 'punch')`.execute(
    db,
  )
  await sql`DELETE FROM audit_log WHERE id IN (SELECT row_id FROM ledger WHERE seq > ${seq} AND kind = 'audit')`.execute(
    db,
  )
  await sql`DELETE FROM ledger WHERE seq > ${seq}`.execute(db)
  await sql`UPDATE ledger_head SET seq = ${seq}, mac = (SELECT mac FROM ledger WHERE seq = ${seq})`.execute(
    db,
  )
}

const faults = async () => (await ledger.verify()).faults

describe('the audit log', () => {
  test('tells who changed what, from where, and what it was before', async () => {
    await addPerson('E1', 'Nguyễn Văn An')
    await ledger.by(hr)((trx) =>
      trx
        .updateTable('employees')
        .set({ department: 'IT', version: 2 })
        .where('employee_id', '=', 'E1')
        .execute(),
    )
    const rows = await db.selectFrom('audit_log').selectAll().orderBy('id').execute()
    expect(rows).toHaveLength(2)
    expect(rows[0]).toMatchObject({
      at: now,
      by: 'user:3',
      action: 'insert',
      subject_kind: 'employees',
      subject: 'E1',
      details: { after: { name: 'Nguyễn Văn An' }, from: '192.0.2.7', request_id: 'r-1' },
    })
    expect(rows[1]).toMatchObject({
      action: 'update',
      details: { before: { department: null }, after: { department: 'IT' }, route: hr.route },
    })
    // Nothing but what changed, and not the counter of changes.
    expect(Object.keys(rows[1]?.details?.after as object)).toEqual(['department'])
  })

  test('never holds a hash, a key or a vector', async () => {
    await ledger.by(hr)((trx) =>
      trx
        .insertInto('users')
        .values({
          username: 'an',
          name: 'An',
          role: 'hr',
          password_hash: '$argon2id$secret',
          totp_secret: Buffer.from('totp'),
        })
        .execute(),
    )
    await ledger.by(hr)((trx) => trx.updateTable('users').set({ password_hash: 'another' }).execute())
    const rows = await db.selectFrom('audit_log').select('details').orderBy('id').execute()
    expect(JSON.stringify(rows)).not.toMatch(/argon2|another|totp"?:"?\\\\x/)
    expect(rows[1]?.details).toMatchObject({
      before: { password_hash: '(hidden)' },
      after: { password_hash: '(hidden)' },
    })
  })

  test('is silent about what changes by itself', async () => {
    await db.insertInto('devices').values({ device_id: 'K1', name: 'K1' }).execute()
    const before = await db.selectFrom('audit_log').select('id').execute()
    await db.updateTable('devices').set({ last_heartbeat: now, clock_skew_ms: 3 }).execute()
    expect(await db.selectFrom('audit_log').select('id').execute()).toEqual(before)
  })

  test('says of a change past the program that it was one', async () => {
    await db.insertInto('sites').values({ name: 'By hand' }).execute()
    const { by } = await db.selectFrom('audit_log').select('by').executeTakeFirstOrThrow()
    expect(by).toMatch(/^sql:/)
    expect(await faults()).toMatchObject([{ seq: null, kind: 'audit', what: 'inserted' }])
  })

  test('leaves nothing of a change that was rolled back', async () => {
    const failing = ledger.by(hr)(async (trx) => {
      await trx.insertInto('sites').values({ name: 'Never' }).execute()
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await ledger.verify()).toMatchObject({ entries: 0, faults: [] })
  })
})

describe('the ledger', () => {
  test('is the chain that its description says', async () => {
    await addPerson('E1')
    const id = await punch('E1')
    const [entry] = await db.selectFrom('ledger').selectAll().where('seq', '=', '2').execute()
    const [first] = await db.selectFrom('ledger').selectAll().where('seq', '=', '1').execute()
    const row = await db.selectFrom('attendance').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
    // Written out by hand here: PostgreSQL orders the keys of a jsonb by their length first.
    const open =
      `{"id": ${id}, "is_void": false, "corrects": null, "liveness": "unavailable", "device_id": null, ` +
      `"timestamp": "2025-03-03T01:00:00+00:00", "decision_id": ${row.decision_id}, "attendance_type": "IN", "confidence_score": 0.8125}`
    const decision =
      '{"kind": "manual", "pack": null, "record": {}, "outcome": "entered", "confidence": null, "employee_id": "E1"}'
    const personal = `{"notes": "ghi chú", "decision": ${decision}, "image_path": null, "employee_id": "E1"}`
    const commitment = createHmac('sha256', row.salt).update(personal).digest()
    const digest = createHash('sha256').update(open).update(commitment).digest()
    const mac = createHmac('sha256', key)
      .update(Buffer.concat([Buffer.from(first?.mac ?? ''), Buffer.from(`\n2 punch ${id}\n`), digest]))
      .digest()
    expect(Buffer.from(entry?.mac ?? '').toString('hex')).toBe(mac.toString('hex'))
  })

  test('finds nothing wrong with what the program did', async () => {
    await addPerson('E1')
    for (let hour = 1; hour < 6; hour++) await punch('E1', `2025-03-03T0${hour}:00:00.123456Z`)
    expect(await ledger.verify()).toMatchObject({ entries: 6, faults: [], head: { seq: 6 } })
  })

  test('takes changes of many at once in one unbroken chain', async () => {
    await addPerson('E1')
    await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? punch('E1') : addPerson(`P${i}`))))
    expect(await ledger.verify()).toMatchObject({ entries: 41, faults: [] })
  })

  test.each([
    [
      'the time of a punch',
      sql`UPDATE attendance SET timestamp = timestamp - interval '1 hour' WHERE id = 2`,
      3,
    ],
    ['whose punch it is', sql`UPDATE attendance SET employee_id = 'E2' WHERE id = 1`, 2],
    ['the salt of a punch', sql`UPDATE attendance SET salt = gen_random_uuid() WHERE id = 3`, 4],
    ['why it was decided so', sql`UPDATE decisions SET record = '{"rule": "other"}' WHERE id = 1`, 2],
    ['who made a change', sql`UPDATE audit_log SET by = 'user:9' WHERE id = 1`, 1],
    ['what an audit row says', sql`UPDATE audit_log SET details = '{}' WHERE id = 2`, 5],
    [
      'an audit row made to look forgotten',
      sql`UPDATE audit_log SET details = NULL, subject = NULL, salt = NULL WHERE id = 1`,
      1,
    ],
    ['what an audit row lets go', sql`UPDATE audit_log SET released = '{"punches": [1]}' WHERE id = 2`, 5],
  ])('names the first row that was changed: %s', async (_what, tamper, seq) => {
    await addPerson('E1')
    await punch('E1')
    await punch('E1', '2025-03-03T02:00:00Z')
    await punch('E1', '2025-03-03T03:00:00Z')
    await addPerson('E2')
    // Whoever owns the database is not held by its triggers.
    await sql`ALTER TABLE attendance DISABLE TRIGGER USER`.execute(db)
    await sql`ALTER TABLE decisions DISABLE TRIGGER USER`.execute(db)
    await tamper.execute(db)
    expect((await faults())[0]).toMatchObject({ seq, what: 'changed' })
  })

  test('names a punch that was removed', async () => {
    await addPerson('E1')
    await punch('E1')
    const gone = await punch('E1', '2025-03-03T02:00:00Z')
    await sql`DELETE FROM attendance WHERE id = ${gone}`.execute(db)
    expect(await faults()).toMatchObject([{ seq: 3, kind: 'punch', row_id: gone, what: 'removed' }])
  })

  test('names a punch that was removed together with its entry', async () => {
    await addPerson('E1')
    const gone = await punch('E1')
    await punch('E1', '2025-03-03T02:00:00Z')
    await sql`DELETE FROM attendance WHERE id = ${gone}`.execute(db)
    await sql`DELETE FROM ledger WHERE seq = 2`.execute(db)
    expect((await faults())[0]).toMatchObject({ seq: 2, what: 'removed' })
  })

  test('names a punch that was put in, and an entry forged for it', async () => {
    await addPerson('E1')
    const real = await punch('E1')
    // Past the program, with a decision of its own.
    const forged = await db
      .insertInto('decisions')
      .values({ kind: 'manual', outcome: 'entered', employee_id: 'E1', record: '{}' })
      .returning('id')
      .executeTakeFirstOrThrow()
    await sql`INSERT INTO attendance (employee_id, timestamp, attendance_type, confidence_score, liveness, decision_id)
      SELECT employee_id, timestamp + interval '1 day', 'OUT', 1, liveness, ${forged.id} FROM attendance
      WHERE id = ${real}`.execute(db)
    expect(await faults()).toMatchObject([{ kind: 'punch', what: 'inserted', row_id: real + 1 }])
    await sql`INSERT INTO ledger SELECT 3, 'punch', ${real + 1}, digest, commitment, mac FROM ledger WHERE seq = 2`.execute(
      db,
    )
    await sql`UPDATE ledger_head SET seq = 3`.execute(db)
    expect((await faults())[0]).toMatchObject({ seq: 3, what: 'chain_broken' })
  })

  test('tells that the end was cut off, though what is left is a whole chain', async () => {
    await addPerson('E1')
    await punch('E1')
    const last = await punch('E1', '2025-03-03T02:00:00Z')
    await ledger.close()
    await sql`DELETE FROM attendance WHERE id = ${last}`.execute(db)
    await sql`DELETE FROM ledger WHERE seq = 3`.execute(db)
    await sql`UPDATE ledger_head SET seq = 2, mac = (SELECT mac FROM ledger WHERE seq = 2)`.execute(db)
    const restarted = await open()
    expect((await restarted.verify()).faults).toMatchObject([{ seq: 2, what: 'cut_off' }])

    // It goes on, and what is entered now does not hide it.
    ledger = restarted
    await punch('E1')
    await restarted.close()
    expect((await (await open()).verify()).faults).toMatchObject([{ what: 'cut_off' }])
  })

  test('takes an older database as the present one when it is told to, and keeps that it was', async () => {
    await addPerson('E1')
    await punch('E1')
    await ledger.close()
    await sql`DELETE FROM attendance`.execute(db)
    await sql`DELETE FROM ledger WHERE seq = 2`.execute(db)
    await sql`UPDATE ledger_head SET seq = 1, mac = (SELECT mac FROM ledger WHERE seq = 1)`.execute(db)
    ledger = await open()
    await ledger.accept(cliAuthor, 'restored the backup of yesterday')
    expect(await faults()).toEqual([])
    const { details, by } = await db
      .selectFrom('audit_log')
      .selectAll()
      .where('action', '=', 'accept')
      .executeTakeFirstOrThrow()
    expect({ details, by }).toMatchObject({ by: 'cli', details: { outside: 2, inside: 1 } })
  })

  test('finds what was done to it before the head of a day that was carried elsewhere', async () => {
    await addPerson('E1')
    await punch('E1')
    await ledger.exportHead()
    await ledger.exportHead()
    await ledger.close()
    // Somebody who has the folder of the keys as well, and puts the head back.
    await writeFile(join(folder, 'ledger-head.json'), JSON.stringify(await headAt(1)))
    await sql`DELETE FROM attendance`.execute(db)
    await sql`DELETE FROM ledger WHERE seq = 2`.execute(db)
    await sql`UPDATE ledger_head SET seq = 1, mac = (SELECT mac FROM ledger WHERE seq = 1)`.execute(db)
    ledger = await open()
    expect(await faults()).toMatchObject([{ what: 'cut_off' }])
  })

  test('is not covered up by what the same server enters after its end was cut off', async () => {
    await addPerson('E1')
    for (let hour = 1; hour < 5; hour++) await punch('E1', `2025-03-03T0${hour}:00:00Z`)
    // Long enough for the head to be written.
    await sleep(1000)
    await cutTo(3)
    for (let hour = 5; hour < 9; hour++) {
      await punch('E1', `2025-03-03T0${hour}:00:00Z`)
      await sleep(600)
    }
    expect((await faults())[0]).toMatchObject({ what: 'cut_off' })
  })

  test('gives no room to another row in the place of one that was let go', async () => {
    await addPerson('E1')
    await addPerson('E2')
    const own = await punch('E1')
    await ledger.by({ by: 'user:1' })(async (trx) => {
      await release(trx, { employeeId: 'E1', punches: [own], action: 'purge' })
      await trx.deleteFrom('attendance').where('employee_id', '=', 'E1').execute()
      await trx.deleteFrom('decisions').where('employee_id', '=', 'E1').execute()
      await trx.deleteFrom('employees').where('employee_id', '=', 'E1').execute()
    })
    const forged = await db
      .insertInto('decisions')
      .values({ kind: 'manual', outcome: 'entered', employee_id: 'E2', record: '{}' })
      .returning('id')
      .executeTakeFirstOrThrow()
    await sql`INSERT INTO attendance
      (id, employee_id, timestamp, attendance_type, confidence_score, liveness, decision_id)
      OVERRIDING SYSTEM VALUE VALUES (${own}, 'E2', now(), 'IN', 1, 'unavailable', ${forged.id})`.execute(db)
    expect(await faults()).toMatchObject([{ kind: 'punch', row_id: own, what: 'changed' }])
    await sql`DELETE FROM attendance WHERE id = ${own}`.execute(db)
    await sql`UPDATE audit_log SET details = '{"forged": true}', salt = gen_random_uuid() WHERE id = 1`.execute(
      db,
    )
    expect(await faults()).toMatchObject([{ kind: 'audit', row_id: 1, what: 'changed' }])
  })

  test('enters nothing that the transaction did not write, and nobody but the program lets rows go', async () => {
    await addPerson('E1')
    await punch('E1')
    await sql`INSERT INTO audit_log (id, at, by, action, subject_kind, released)
      OVERRIDING SYSTEM VALUE VALUES (5000, now(), 'user:1', 'purge', 'employees', '{"punches": [1], "audits": []}')`.execute(
      db,
    )
    await ledger.by(hr)(async (trx) => {
      await sql`SELECT ledger_list('audit', 5000)`.execute(trx)
      await trx.insertInto('sites').values({ name: 'Real' }).execute()
    })
    expect(await faults()).toMatchObject([{ kind: 'audit', row_id: 5000, what: 'inserted' }])
    const forging = ledger.by(hr)((trx) =>
      sql`SELECT audit_write('purge', 'employees', NULL, '{}', '{"punches": [1], "audits": []}')`.execute(
        trx,
      ),
    )
    await expect(forging).rejects.toThrow('nobody here wrote it')
  })

  test('tells of triggers that are off or strange, and of settings that silence them', async () => {
    await sql`ALTER TABLE users DISABLE TRIGGER audit`.execute(db)
    await sql`CREATE TRIGGER mine AFTER INSERT ON sites EXECUTE FUNCTION suppress_redundant_updates_trigger()`.execute(
      db,
    )
    const found = await faults()
    expect(found.map(({ what }) => what)).toEqual(['unguarded', 'unguarded'])
    expect(found.map(({ message }) => message).join()).toMatch(/sites.*mine.*users/s)
  })

  test('tells that its head outside the database is gone or damaged, and starts all the same', async () => {
    await addPerson('E1')
    await ledger.close()
    await writeFile(join(folder, 'ledger-head.json'), '{"seq"')
    ledger = await open()
    expect(await faults()).toMatchObject([{ what: 'cut_off', message: expect.stringContaining('damaged') }])
    await ledger.close()
    await rm(join(folder, 'ledger-head.json'))
    ledger = await open()
    expect(await faults()).toMatchObject([{ what: 'cut_off', message: expect.stringContaining('missing') }])
    await ledger.accept(cliAuthor, 'the disk was damaged; compared with the head of yesterday')
    expect(await faults()).toEqual([])
  })

  test('holds when a person is forgotten, and says that they were', async () => {
    await addPerson('E1', 'Trần Thị Bình')
    await addPerson('E2')
    const own = await punch('E1')
    await punch('E2')
    await ledger.by({ by: 'user:1' })(async (trx) => {
      await release(trx, { employeeId: 'E1', punches: [own], action: 'purge' })
      await trx.deleteFrom('attendance').where('employee_id', '=', 'E1').execute()
      await trx.deleteFrom('decisions').where('employee_id', '=', 'E1').execute()
      await trx.deleteFrom('employees').where('employee_id', '=', 'E1').execute()
    })
    expect(await faults()).toEqual([])
    const left = JSON.stringify(await db.selectFrom('audit_log').selectAll().execute())
    expect(left).not.toMatch(/Bình|E1/)
    expect(left).toContain('purge')
    await sql`DELETE FROM attendance WHERE employee_id = 'E2'`.execute(db)
    expect(await faults()).toMatchObject([{ kind: 'punch', what: 'removed', seq: 4 }])
  })

  test('keeps an act that changes no row', async () => {
    await ledger.by(hr)((trx) =>
      note(trx, { action: 'export', subject_kind: 'attendance', details: { rows: 12 } }),
    )
    expect(await ledger.verify()).toMatchObject({ entries: 1, faults: [] })
  })

  test('enters the punches of a database that is older than it', async () => {
    await ledger.close()
    await sql`ALTER TABLE attendance DISABLE TRIGGER ledger`.execute(db)
    await sql`ALTER TABLE employees DISABLE TRIGGER audit`.execute(db)
    await addPerson('E1')
    await punch('E1')
    await punch('E1', '2025-03-03T02:00:00Z')
    await sql`ALTER TABLE attendance ENABLE TRIGGER ledger`.execute(db)
    await sql`ALTER TABLE employees ENABLE TRIGGER audit`.execute(db)
    await rm(join(folder, 'ledger-head.json'), { force: true })
    ledger = await open()
    expect(await ledger.verify()).toMatchObject({ entries: 3, faults: [] })
  })
})
