import type { Readable } from 'node:stream'
import { writeCsv } from 'hucre/csv'
import { sql } from 'kysely'
import { ZipFile } from 'yazl'
import type { Database } from '../database/tables.ts'
import { guard } from '../employees/spreadsheet.ts'
import type { personalData } from './personal-data.ts'

type PersonalData = Awaited<ReturnType<typeof personalData>> & { exported_at: Date }

/**
 * What is kept of a person as a ZIP that they can read themselves: the data of the JSON export, the photos as pictures,
 * the punches as a table, and a note that says what is what. `readPhoto` gives a photo in the clear by its number, or
 * undefined where its file is lost. Everything is read before the first byte is sent: a ZIP that breaks off half-way
 * would look like all there is.
 */
export async function personArchive(
  { db, timeZone }: { db: Database; timeZone: string },
  data: PersonalData,
  readPhoto: (photoId: number) => Promise<Buffer | undefined>,
): Promise<Readable> {
  const zip = new ZipFile()
  const mtime = data.exported_at
  zip.addBuffer(Buffer.from(JSON.stringify(data, null, 2)), 'data.json', { mtime })
  zip.addBuffer(Buffer.from(await punchTable(db, data, timeZone)), 'punches.csv', { mtime })
  const lost: number[] = []
  for (const { id } of data.photos) {
    const photo = await readPhoto(id)
    if (photo) zip.addBuffer(photo, `photos/${id}.jpg`, { mtime, compress: false })
    else lost.push(id)
  }
  zip.addBuffer(Buffer.from(`\ufeff${readme(data, lost)}`), 'readme.txt', { mtime })
  zip.end()
  return zip.outputStream as Readable
}

/** `attachment` under a name with the person's id, whatever letters are in it (RFC 6266). */
export function archiveDisposition(employeeId: string): string {
  const name = `personal-data-${employeeId}.zip`
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="personal-data.zip"; filename*=UTF-8''${encoded}`
}

/** The punches as Excel opens them right where the comma is a decimal sign, each at the time of its place. */
async function punchTable(db: Database, { punches }: PersonalData, timeZone: string): Promise<string> {
  const places = await placesOf(db, punches[0]?.employee_id, timeZone)
  const rows = punches.map((punch) => {
    const { local, zone } = places.get(punch.id)!
    return [
      String(punch.id),
      local,
      zone,
      punch.timestamp.toISOString(),
      punch.attendance_type,
      punch.device_id ?? '',
      String(punch.confidence_score),
      punch.liveness,
      punch.notes ?? '',
      String(punch.corrects ?? ''),
      String(punch.is_void),
    ]
  })
  return writeCsv(
    [punchColumns, ...rows].map((row) => row.map(guard)),
    { delimiter: ';', bom: true },
  )
}

const punchColumns = [
  'id',
  'time',
  'time_zone',
  'time_utc',
  'attendance_type',
  'device_id',
  'confidence_score',
  'liveness',
  'notes',
  'corrects',
  'is_void',
]

/** The time on the wall of each punch, and the zone: the kiosk's site says it, or the person's own. */
async function placesOf(db: Database, employeeId: string | undefined, timeZone: string) {
  const zone = sql<string>`coalesce(sites.time_zone, ${timeZone}::text)`
  const rows = await db
    .selectFrom('attendance')
    .innerJoin('employees', 'employees.employee_id', 'attendance.employee_id')
    .leftJoin('devices', 'devices.device_id', 'attendance.device_id')
    .innerJoin('sites', (join) =>
      join.on(sql<boolean>`sites.id = coalesce(devices.site_id, employees.site_id)`),
    )
    .select([
      'attendance.id',
      zone.as('zone'),
      sql<string>`to_char(attendance.timestamp AT TIME ZONE ${zone}, 'YYYY-MM-DD HH24:MI:SS')`.as('local'),
    ])
    .where('attendance.employee_id', '=', employeeId ?? '')
    .execute()
  return new Map(rows.map((row) => [row.id, row]))
}

function readme({ employee, photos, exported_at }: PersonalData, lost: readonly number[]): string {
  const missing = lost.map((id) => `photos/${id}.jpg`).join(', ')
  const avatar = photos.find(({ is_avatar }) => is_avatar)
  const lines = [
    `DỮ LIỆU CÁ NHÂN CỦA ${employee.name} (${employee.employee_id})`,
    `Xuất lúc ${exported_at.toISOString()} (giờ UTC).`,
    '',
    'data.json     Toàn bộ dữ liệu hệ thống chấm công lưu về bạn, để máy tính đọc: thông tin nhân viên, thông tin về',
    '              từng ảnh và mẫu khuôn mặt, các lần đồng ý và rút lại đồng ý, các lần chấm công và lý do của từng',
    '              quyết định nhận diện.',
    'punches.csv   Các lần chấm công dưới dạng bảng, mở được bằng Excel. Cột time là giờ tại nơi chấm công. Dòng có',
    '              số ở cột corrects thay cho dòng mang số đó; is_void là true nghĩa là lần chấm công đó bị hủy.',
    'photos/       Ảnh khuôn mặt đã đăng ký, tên tệp là số của ảnh trong data.json.',
    ...(avatar ? [`              Ảnh đại diện là photos/${avatar.id}.jpg.`] : []),
    ...(lost.length > 0 ? [`              Không còn tệp của: ${missing}.`] : []),
    '',
    'Bạn có quyền yêu cầu sửa hoặc xóa dữ liệu này, và rút lại sự đồng ý. Hãy liên hệ phòng nhân sự.',
    'Gói này chứa ảnh và dữ liệu của bạn mà không được mã hóa: hãy cất giữ cẩn thận.',
    '',
    '----------------------------------------------------------------------',
    '',
    `PERSONAL DATA OF ${employee.name} (${employee.employee_id})`,
    `Exported at ${exported_at.toISOString()} (UTC).`,
    '',
    'data.json     Everything that the time attendance system keeps about you, for programs to read: your entry as an',
    '              employee, facts about each photo and face template, consents given and withdrawn, your attendance',
    '              records, and what led to each of them.',
    'punches.csv   Your attendance records as a table, which Excel opens. time is the time at the place. A row with a',
    '              number in corrects takes the place of the row of that number; is_void says that it takes it away.',
    'photos/       The enrolled photos of your face, named by their numbers in data.json.',
    ...(avatar ? [`              The avatar is photos/${avatar.id}.jpg.`] : []),
    ...(lost.length > 0 ? [`              The files of these are lost: ${missing}.`] : []),
    '',
    'You may ask for this data to be corrected or erased, and withdraw your consent. Ask your HR department.',
    'This archive holds your photos and data unencrypted: keep it safe.',
    '',
  ]
  // As the oldest text editor of Windows wants it.
  return lines.join('\r\n')
}
