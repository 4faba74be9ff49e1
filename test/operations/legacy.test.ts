import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  describeReport,
  importLegacy,
  type LegacyReport,
  type LegacySource,
} from '../../src/operations/legacy.ts'
import { findPhotos, listFiles } from '../../src/operations/legacy-photos.ts'
import { createLogger } from '../../src/shared/log.ts'
import { createWorkQueue } from '../../src/shared/work-queue.ts'
import { portrait } from '../face/portraits.ts'
import { form, kioskHeaders, rowCounts, type TestApp, testApp } from '../support/app.ts'
import { databaseUrl } from '../support/database.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'

let cluster: Cluster
let running: TestApp
let folder: string
let pictures: Record<'ann' | 'annAgain' | 'bob' | 'grey', Buffer>
let databases = 0

beforeAll(async () => {
  cluster = await startCluster()
  running = await testApp()
  const ann = await sharp(await portrait('blonde'))
    .jpeg()
    .toBuffer()
  const grey = { width: 300, height: 300, channels: 3 as const, background: '#777' }
  pictures = {
    ann,
    annAgain: await sharp(ann).modulate({ brightness: 0.8 }).resize(360).jpeg({ quality: 70 }).toBuffer(),
    bob: await sharp(await portrait('longHair'))
      .jpeg()
      .toBuffer(),
    grey: await sharp({ create: grey }).jpeg().toBuffer(),
  }
})
beforeEach(async () => {
  running.clock.set('2025-09-01T00:00:00Z')
  await running.clear()
  await running.db.deleteFrom('erasures').execute()
  folder = await mkdtemp(join(tmpdir(), 'rollcall-legacy-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))
afterAll(async () => {
  await running.close()
  await cluster.stop()
})

/** The tables as SQLAlchemy made them of the old models, but for the references that older installs did not have. */
const oldSchema = `
  CREATE TABLE employees (id serial PRIMARY KEY, employee_id varchar UNIQUE, name varchar, department varchar,
    email varchar, phone varchar, position varchar, created_at timestamp);
  CREATE TABLE face_templates (id serial PRIMARY KEY, employee_id varchar NOT NULL, image_id integer NOT NULL
    CHECK (image_id >= 0 AND image_id <= 3), filename varchar(200) NOT NULL, file_path varchar(500) NOT NULL,
    embedding_vector double precision[] NOT NULL, is_primary boolean, created_at timestamp, updated_at timestamp,
    created_from varchar(20) NOT NULL CHECK (created_from IN ('ADMIN_UPLOAD', 'ATTENDANCE')),
    quality_score double precision, confidence_score double precision, match_count integer, last_matched timestamp,
    avg_match_confidence double precision, CONSTRAINT unique_employee_image_id UNIQUE (employee_id, image_id));
  CREATE TABLE attendance (id serial PRIMARY KEY, employee_id varchar NOT NULL, device_id varchar NOT NULL,
    timestamp timestamp, attendance_type varchar NOT NULL, confidence_score double precision, image_path varchar,
    notes varchar);
  CREATE TABLE devices (id serial PRIMARY KEY, device_id varchar UNIQUE, name varchar, location varchar,
    ip_address varchar, is_active boolean, created_at timestamp, last_heartbeat timestamp, config json);`

/** An old system's database with these rows. Returns its address. */
async function oldDatabase(rows: string, schema = oldSchema): Promise<string> {
  const name = `old_${++databases}`
  await query(cluster.url, `CREATE DATABASE ${name}`)
  const url = databaseUrl(cluster.url, name)
  await query(url, schema + rows)
  return url
}

async function query(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(statement)
  await client.end()
}

function run(url: string, how: Partial<LegacySource> = {}): Promise<LegacyReport> {
  const { db, vault, ledger, engine, gallery, photos, clock } = running
  const queue = createWorkQueue({ atOnce: 2, maxWaiting: 10, maxWaitingPerKey: 10, maxWaitMs: 60_000 })
  const deps = {
    db,
    vault,
    ledger,
    engine,
    gallery,
    photos,
    clock,
    queue,
    log: createLogger({ level: 'silent' }),
  }
  const source = { url, photos: folder, timeZone: 'UTC', consent: '2025-03', dryRun: false, ...how }
  return importLegacy({ ...deps, maxPhotoBytes: 10_000_000, atOnce: 2 }, source)
}

async function put(path: string, bytes: Buffer): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true })
  await writeFile(join(folder, path), bytes)
}

const messages = ({ lines }: LegacyReport, kind: string) =>
  lines.filter((line) => line.kind === kind).map(({ row, left_out, message }) => [row, left_out, message])

const template = (employee: string, slot: number, path: string, from = 'ADMIN_UPLOAD') =>
  `INSERT INTO face_templates (employee_id, image_id, filename, file_path, embedding_vector, created_from)
    VALUES ('${employee}', ${slot}, '${path.split('/').at(-1)}', '${path}', '{0.5}', '${from}');`

const company = `
  INSERT INTO employees (employee_id, name, department, email, phone, position, created_at) VALUES
    ('EMP_001', 'Nguyễn Văn A', 'Kỹ thuật', 'a@company.com', '0123456789', 'Developer', '2024-01-02 03:04:05'),
    ('EMP_002', '${'  Trần Thị Bích '.normalize('NFD')}', '', NULL, NULL, NULL, NULL),
    ('NV 003', E'Lê\\tVăn C', NULL, 'not an address', NULL, NULL, '2024-01-02 03:04:05.678901'),
    ('1004', NULL, NULL, NULL, NULL, NULL, '2024-05-01'),
    (NULL, 'Nobody', NULL, NULL, NULL, NULL, NULL),
    ('EMP_006', 'Phạm Dũng', NULL, NULL, NULL, NULL, '2024-05-01');
  INSERT INTO devices (device_id, name, location, ip_address, is_active, created_at, config) VALUES
    ('KIOSK_001', 'Cổng chính', 'Tòa nhà A', '192.168.1.100', true, '2024-01-01', '{"volume": 5}'),
    ('12', 'Old gate [DELETED]', NULL, 'nonsense', false, NULL, '{"deep": {"er": 1}}'),
    ('KIOSK_002', NULL, NULL, NULL, NULL, NULL, NULL);
  INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type, confidence_score, image_path, notes) VALUES
    ('EMP_001', 'KIOSK_001', '2025-08-25 17:30:00.123456', 'IN', 0.89, '/data/1.jpg', 'đi sớm'),
    ('EMP_001', 'KIOSK_001', '2025-08-26 10:00:00', 'OUT', NULL, NULL, NULL),
    ('NV 003', '12', '2025-08-26 01:00:00', 'IN', 1.0000001, NULL, NULL),
    ('1004', 'GHOST', '2025-08-26 01:00:00', 'IN', 'NaN', NULL, NULL),
    ('EMP_001', 'KIOSK_001', '2025-08-26 10:00:00', 'OUT', 0.7, NULL, 'twice'),
    ('EMP_999', 'KIOSK_001', '2025-08-26 01:00:00', 'IN', 0.9, NULL, NULL),
    ('EMP_001', 'KIOSK_001', '2025-08-26 02:00:00', 'BANANA', 0.9, NULL, NULL),
    ('EMP_001', 'KIOSK_001', NULL, 'IN', 0.9, NULL, NULL),
    ('EMP_001', 'KIOSK_001', 'infinity', 'IN', 0.9, NULL, NULL),
    ('EMP_001', 'KIOSK_001', '2031-01-01', 'IN', 0.9, NULL, NULL);`

describe('an import from the old system', () => {
  test('brings people, devices and punches over, and tells of every row that it changed or left out', async () => {
    const report = await run(await oldDatabase(company))
    const nv3 = expect.stringMatching(/^NV_003_[0-9a-f]{8}$/)
    const gate = expect.stringMatching(/^12_[0-9a-f]{8}$/)

    const people = await running.db.selectFrom('employees').selectAll().orderBy('id').execute()
    expect(people).toMatchObject([
      {
        employee_id: 'EMP_001',
        name: 'Nguyễn Văn A',
        department: 'Kỹ thuật',
        email: 'a@company.com',
        phone: '0123456789',
        position: 'Developer',
        is_active: true,
        created_at: new Date('2024-01-02T03:04:05Z'),
      },
      { employee_id: 'EMP_002', name: 'Trần Thị Bích'.normalize('NFC'), department: null, email: null },
      { employee_id: nv3, name: 'Lê Văn C', email: null },
      { employee_id: '1004', name: '1004' },
      { employee_id: 'EMP_006' },
    ])

    const devices = await running.db.selectFrom('devices').selectAll().orderBy('id').execute()
    expect(devices).toMatchObject([
      {
        device_id: 'KIOSK_001',
        name: 'Cổng chính',
        ip_address: '192.168.1.100',
        is_active: true,
        config: { volume: 5 },
      },
      { device_id: gate, name: 'Old gate [DELETED]', ip_address: null, is_active: false, config: null },
      { device_id: 'KIOSK_002', name: 'KIOSK_002', is_active: true },
      { device_id: 'GHOST', name: 'GHOST', is_active: false },
    ])

    const punches = await running.db
      .selectFrom('attendance')
      .innerJoin('decisions', 'decisions.id', 'attendance.decision_id')
      .select(['attendance.employee_id', 'attendance.device_id', 'timestamp', 'attendance_type'])
      .select(['confidence_score', 'liveness', 'notes', 'kind', 'outcome', 'record'])
      .orderBy('attendance.id')
      .execute()
    expect(punches).toMatchObject([
      {
        employee_id: 'EMP_001',
        device_id: 'KIOSK_001',
        timestamp: new Date('2025-08-25T17:30:00.123Z'),
        attendance_type: 'IN',
        confidence_score: 0.89,
        liveness: 'unavailable',
        notes: 'đi sớm',
        kind: 'import',
        outcome: 'imported',
        record: { imported_by: 'cli', legacy_id: 1, legacy_image_path: '/data/1.jpg' },
      },
      { employee_id: 'EMP_001', timestamp: new Date('2025-08-26T10:00:00Z'), confidence_score: 0 },
      { employee_id: nv3, device_id: gate, confidence_score: 1, record: { legacy_device_id: '12' } },
      { employee_id: '1004', device_id: 'GHOST', confidence_score: 0 },
    ])

    expect(report.counts).toEqual({
      employee: { read: 6, added: 5, present: 0, left_out: 1 },
      device: { read: 3, added: 4, present: 0, left_out: 0 },
      punch: { read: 10, added: 4, present: 1, left_out: 5 },
      photo: { read: 0, added: 0, present: 0, left_out: 0 },
    })
    expect(messages(report, 'employee')).toEqual([
      ['NV 003', false, expect.stringMatching(/^is called NV_003_/)],
      [nv3, false, 'email "not an address" is not valid here and was dropped'],
      ['1004', false, 'has no name, and is called by the id'],
      ['number 5', true, 'has no employee_id'],
    ])
    expect(messages(report, 'punch')).toEqual([
      ['number 6', true, 'is of EMP_999, who was not imported'],
      ['number 7', true, 'its type is BANANA, neither IN nor OUT'],
      ['number 8', true, 'its time is missing'],
      ['number 9', true, 'its time is infinity'],
      ['number 10', true, expect.stringContaining('lies in the future')],
    ])
    expect(messages(report, 'device').map(([row, leftOut]) => [row, leftOut])).toEqual([
      ['12', false],
      [gate, false],
      [gate, false],
      ['GHOST', false],
    ])
    const printed = describeReport(report)
    expect(printed).toMatch(/attendance +10 +4 +1 +5\n/)
    expect(printed).toContain('punch number 7: its type is BANANA')
  })

  test('is entered into the ledger, by the command line', async () => {
    await run(await oldDatabase(company))
    expect((await running.ledger.verify()).faults).toEqual([])
    const authors = await running.db.selectFrom('audit_log').select('by').distinct().execute()
    expect(authors).toEqual([{ by: 'cli' }])
  })

  test('run again adds nothing, and brings over what is new', async () => {
    await put('EMP_001.jpg', pictures.ann)
    const url = await oldDatabase(company)
    await run(url)
    const before = await rowCounts(running.db)
    const { counts } = await run(url)
    expect(await rowCounts(running.db)).toEqual(before)
    expect(Object.values(counts).map(({ added }) => added)).toEqual([0, 0, 0, 0])
    expect(counts.punch.present).toBe(5)
    expect(counts.photo.present).toBe(1)
    await query(
      url,
      `INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type)
        VALUES ('EMP_001', 'KIOSK_001', '2025-08-27 01:00:00', 'IN')`,
    )
    expect((await run(url)).counts.punch).toMatchObject({ added: 1, left_out: 5 })
  })

  test('takes the times for those of the zone that it is told', async () => {
    const url = await oldDatabase(company)
    await run(url, { timeZone: 'Asia/Ho_Chi_Minh' })
    const { timestamp } = await running.db
      .selectFrom('attendance')
      .select('timestamp')
      .orderBy('id')
      .limit(1)
      .executeTakeFirstOrThrow()
    expect(timestamp).toEqual(new Date('2025-08-25T10:30:00.123Z'))
  })

  test('leaves out a person whose id is of somebody with another name here, with all that is theirs', async () => {
    await running.app.inject({
      method: 'POST',
      url: '/api/v1/employees',
      payload: { employee_id: 'EMP_001', name: 'Hoàng Thị Khác' },
    })
    await put('EMP_001.jpg', pictures.ann)
    const report = await run(await oldDatabase(company))
    expect(messages(report, 'employee')).toContainEqual([
      'EMP_001',
      true,
      expect.stringContaining('but Hoàng Thị Khác here'),
    ])
    const { db } = running
    expect(
      await db.selectFrom('attendance').select('id').where('employee_id', '=', 'EMP_001').execute(),
    ).toEqual([])
    expect(await db.selectFrom('samples').select('id').execute()).toEqual([])
  })

  test('of a dry run is told and not done', async () => {
    await put('EMP_001.jpg', pictures.ann)
    await put('EMP_006.jpg', pictures.grey)
    const url = await oldDatabase(company)
    const before = await rowCounts(running.db)
    const dry = await run(url, { dryRun: true })
    expect(await rowCounts(running.db)).toEqual(before)
    expect(describeReport(dry)).toContain('nothing was stored')
    const real = await run(url)
    expect(dry.counts).toEqual(real.counts)
    expect(dry.lines).toEqual(real.lines)
    const after = (await run(url, { dryRun: true })).counts
    expect(after.employee).toMatchObject({ added: 0, present: 5 })
    expect(after.photo).toMatchObject({ added: 0, present: 1, left_out: 1 })
  })

  test('reads tables that lack all that may be missing, and refuses those that are not the old ones', async () => {
    const bare = `CREATE TABLE employees (id bigserial, employee_id text);
      CREATE TABLE attendance (id bigserial, employee_id text, device_id text, timestamp timestamptz, attendance_type text);
      INSERT INTO employees (employee_id) VALUES ('EMP_001');
      INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type)
        VALUES ('EMP_001', 'K', '2025-08-26 08:00:00+07', ' in');`
    const { counts } = await run(await oldDatabase('', bare), { timeZone: 'Asia/Tokyo' })
    expect([counts.employee.added, counts.punch.added]).toEqual([1, 1])
    const { timestamp } = await running.db
      .selectFrom('attendance')
      .select('timestamp')
      .executeTakeFirstOrThrow()
    expect(timestamp).toEqual(new Date('2025-08-26T01:00:00Z'))

    await expect(run(await oldDatabase('', 'SELECT 1'))).rejects.toThrow('has no table employees')
    await expect(run(await oldDatabase('', oldSchema.replaceAll('attendance_type', 'kind')))).rejects.toThrow(
      'has no column attendance_type',
    )
    await expect(run(await oldDatabase('CREATE TABLE instance (id text)'))).rejects.toThrow(
      "one of Rollcall's own",
    )
    await expect(run('postgresql://nobody@127.0.0.1:1/none')).rejects.toThrow('correct --db')
    await expect(run(await oldDatabase(''), { photos: join(folder, 'none') })).rejects.toThrow(
      'Correct --photos',
    )
  })
})

describe('photos of the old system', () => {
  test('are enrolled anew, and whoever is in them is recognised at a kiosk', async () => {
    await put('templates/EMP_001/admin.jpg', pictures.ann)
    await put('uploads/EMP_002.jpg', pictures.bob)
    await put('templates/EMP_006/admin.jpg', pictures.grey)
    await put('templates/1004/admin.jpg', Buffer.from('broken'))
    await put('templates/EMP_001/attendance_2.jpg', pictures.bob)
    const outside = join(folder, '../outside.jpg')
    await symlink(outside, join(folder, 'NV_003.jpg'))
    const url = await oldDatabase(
      company +
        template('EMP_001', 1, '/templates/EMP_001/admin.jpg') +
        template('EMP_001', 2, '/templates/EMP_001/attendance_2.jpg', 'ATTENDANCE') +
        template('EMP_006', 1, '/templates/EMP_006/admin.jpg') +
        template('1004', 1, '/app/data/templates/1004/admin.jpg') +
        template('NV 003', 1, '../../etc/passwd'),
    )
    const report = await run(url)
    expect(report.counts.photo).toEqual({ read: 5, added: 2, present: 0, left_out: 3 })
    expect(messages(report, 'photo')).toEqual(
      expect.arrayContaining([
        ['../../etc/passwd of NV 003', true, 'there is no such file below the folder of the photos'],
        ['(1)', false, expect.stringContaining('learned at check-ins')],
        ['templates/EMP_006/admin.jpg of EMP_006', true, expect.stringContaining('no face')],
        ['templates/1004/admin.jpg of 1004', true, expect.stringContaining('not a JPEG')],
      ]),
    )
    const key = await kioskHeaders(running, 'KIOSK_001')
    const check = (image: Buffer) =>
      running.app.inject({
        method: 'POST',
        url: '/api/v1/attendance/check',
        payload: form({ image, device_id: 'KIOSK_001', attendance_type: 'IN' }),
        headers: key,
      })
    expect((await check(pictures.annAgain)).json()).toMatchObject({
      recognized: true,
      employee_id: 'EMP_001',
      employee_name: 'Nguyễn Văn A',
    })
    expect((await check(pictures.bob)).json()).toMatchObject({ recognized: true, employee_id: 'EMP_002' })
    const consents = await running.db.selectFrom('consents').select(['employee_id', 'given_by']).execute()
    expect(consents.sort((a, b) => (a.employee_id < b.employee_id ? -1 : 1))).toEqual([
      { employee_id: 'EMP_001', given_by: 'cli' },
      { employee_id: 'EMP_002', given_by: 'cli' },
    ])
  })

  test('are left out without a consent, unless the site asks for none', async () => {
    await put('EMP_001.jpg', pictures.ann)
    const url = await oldDatabase(company)
    const askForConsent = (require_consent: boolean) =>
      running.db.updateTable('sites').set({ require_consent }).execute()
    await askForConsent(true)
    try {
      for (const dryRun of [true, false]) {
        const report = await run(url, { consent: undefined, dryRun })
        expect(report.counts.photo).toMatchObject({ added: 0, left_out: 1 })
        expect(messages(report, 'photo')[0]![2]).toContain('no consent')
      }
    } finally {
      await askForConsent(false)
    }
    expect((await run(url, { consent: undefined })).counts.photo).toMatchObject({ added: 1 })
  })

  test('of somebody whose face was erased here do not come back with another run', async () => {
    await put('EMP_001.jpg', pictures.ann)
    const url = await oldDatabase(company)
    await run(url)
    const erased = await running.app.inject({ method: 'POST', url: '/api/v1/employees/EMP_001/erase' })
    expect(erased.statusCode).toBe(200)
    const report = await run(url)
    expect(report.counts.photo).toMatchObject({ added: 0, left_out: 1 })
    expect(messages(report, 'photo')[0]![2]).toContain('was erased here')
    expect(await running.db.selectFrom('samples').select('id').execute()).toEqual([])
  })

  test('are found by their stored path, then by the id in their name, then by a name that there is once', async () => {
    const claim = (employeeId: string, path: string, learned = false) => ({
      employeeId,
      path,
      filename: null,
      learned,
    })
    const files = [
      'uploads/EMP_001/admin.jpg',
      'uploads/EMP_001/2.jpg',
      'uploads/EMP_002/admin.jpg',
      'shared.jpg',
      'once.jpg',
      'EMP_003.webp',
      'EMP_003.txt',
      'learned/EMP_003_7.jpg',
    ]
    const { photos, missing, learned } = findPhotos(
      files,
      [
        claim('EMP_001', '/app/data/uploads/EMP_001/admin.jpg'),
        claim('EMP_004', 'C:\\faces\\EMP_004\\admin.jpg'),
        claim('EMP_001', 'shared.jpg'),
        claim('EMP_002', 'shared.jpg'),
        claim('EMP_005', '/elsewhere/once.jpg'),
        claim('EMP_005', '/elsewhere/../uploads/EMP_001/2.jpg'),
        claim('EMP_003', 'learned/EMP_003_7.jpg', true),
      ],
      new Set(['EMP_001', 'EMP_002', 'EMP_003', 'EMP_004', 'EMP_005']),
    )
    expect(Object.fromEntries(photos)).toEqual({
      EMP_001: ['uploads/EMP_001/admin.jpg', 'uploads/EMP_001/2.jpg'],
      EMP_002: ['uploads/EMP_002/admin.jpg'],
      EMP_003: ['EMP_003.webp'],
      EMP_005: ['once.jpg'],
    })
    expect(missing.map(({ claim: { employeeId, path } }) => [employeeId, path])).toEqual([
      ['EMP_004', 'C:\\faces\\EMP_004\\admin.jpg'],
      ['EMP_001', 'shared.jpg'],
      ['EMP_002', 'shared.jpg'],
      ['EMP_005', '/elsewhere/../uploads/EMP_001/2.jpg'],
    ])
    expect(learned).toBe(1)
  })

  test('outside of the folder are not seen, also where a link leads there', async () => {
    await put('a/b.jpg', pictures.grey)
    await mkdir(join(folder, 'c'))
    await symlink('/etc', join(folder, 'c/etc'))
    await symlink(join(folder, 'a/b.jpg'), join(folder, 'link.jpg'))
    expect(await listFiles(folder)).toEqual(['a/b.jpg'])
  })
})

describe('rollcall import-legacy', () => {
  const cli = resolve('dist/cli.js')
  const children: ChildProcess[] = []
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })

  /** Runs the program; with `killAt` it is killed as soon as it says so. */
  async function program(words: string[], killAt?: string) {
    const env = { ...process.env, DATA_DIR: join(folder, 'data'), DB_URL: '' }
    const child = spawn(process.execPath, [cli, ...words], { env })
    children.push(child)
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
      if (killAt && stderr.includes(killAt)) child.kill('SIGKILL')
    })
    await once(child, 'close')
    return { code: child.exitCode, stdout, stderr }
  }

  test('that was killed half-way goes on where it was, and the ledger is whole', async () => {
    const url = await oldDatabase(`${company}
      INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type, confidence_score)
        SELECT 'EMP_002', 'KIOSK_001', '2025-01-01'::timestamp + n * interval '1 hour',
          CASE n % 2 WHEN 0 THEN 'IN' ELSE 'OUT' END, 0.8 FROM generate_series(1, 3000) AS n;`)
    await mkdir(join(folder, 'photos'))
    await writeFile(join(folder, 'photos/EMP_001.jpg'), pictures.ann)
    const words = ['import-legacy', '--db', url, '--photos', join(folder, 'photos'), '--consent', '2025-03']
    const killed = await program(words, '2000 punches read')
    expect(killed.code).toBeNull()
    expect(killed.stdout).toBe('')

    const { code, stdout, stderr } = await program(words)
    expect([code, stderr.includes('at /')]).toEqual([0, false])
    const [, read, added, there, leftOut] = /attendance +(\d+) +(\d+) +(\d+) +(\d+)/.exec(stdout)!.map(Number)
    expect([read, added! + there!, leftOut]).toEqual([3010, 3005, 5])
    expect(there).toBeGreaterThanOrEqual(1500)
    expect(added).toBeGreaterThan(0)
    expect(stdout).toMatch(/photos +1 +1 +0 +0/)

    const again = await program(words)
    expect(again.stdout).toMatch(/attendance +3010 +0 +3005 +5/)
    expect(again.stdout).toMatch(/photos +1 +0 +1 +0/)
    expect((await program(['verify'])).stdout).toContain('The ledger is whole')
  }, 400_000)

  test('says what to do where it cannot begin', async () => {
    const photos = ['--photos', folder]
    expect(
      await program(['import-legacy', '--db', 'postgresql://nobody@127.0.0.1:1/none', ...photos]),
    ).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('The old database cannot be reached. Start it, or correct --db.'),
    })
    expect(
      await program(['import-legacy', '--db', 'x', ...photos, '--time-zone', 'Mars/Olympus']),
    ).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no IANA time zone'),
    })
    expect((await program(['import-legacy', ...photos])).stderr).toContain("required option '--db <url>'")
  }, 120_000)
})
