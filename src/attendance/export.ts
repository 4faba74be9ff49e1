import type { FastifyReply } from 'fastify'
import type { Database } from '../database/tables.ts'
import { sendFile, type WrittenCell } from '../employees/spreadsheet.ts'
import { type Change, note } from '../ledger/ledger.ts'
import { invalidField } from '../shared/http.ts'
import { everyPunch, type View } from './punches.ts'
import type { ExportQuery } from './schema.ts'

const YEAR_MS = 366 * 24 * 3_600_000

const header = [
  'id',
  'time',
  'time_zone',
  'employee_id',
  'name',
  'department',
  'attendance_type',
  'site',
  'device_id',
  'kind',
  'notes',
  'corrects',
  'is_void',
  'superseded_by',
]

type Row = Awaited<ReturnType<typeof everyPunch>>['punches'] extends AsyncIterable<infer Each> ? Each : never

/**
 * Answers the punches as a file, oldest first; the ledger tells of it before the first one leaves. Who asks with HEAD
 * takes nothing along: then there is no `change`, and no punch in the file.
 */
export async function exportPunches(
  db: Database,
  change: Change | undefined,
  reply: FastifyReply,
  query: ExportQuery,
  view: View,
  now: Date,
): Promise<FastifyReply> {
  const { format, separator, ...filters } = query
  const { from, to } = filters
  if (from && !to && now.getTime() - Date.parse(from) > YEAR_MS)
    throw invalidField('from', 'is more than a year ago: say with to where the export ends')
  if (!change) return sendFile(reply, 'attendance', header, [], { format, separator })
  const { count, punches } = await everyPunch(db, query, view)
  await change((trx) =>
    note(trx, {
      action: 'export',
      subject_kind: 'attendance',
      subject: query.employee_id ?? null,
      details: { format, filters, punches: count },
    }),
  )
  return sendFile(reply, 'attendance', header, cellsOf(punches), { format, separator })
}

async function* cellsOf(punches: AsyncIterable<Row>): AsyncIterable<WrittenCell[]> {
  for await (const punch of punches)
    yield [
      String(punch.id),
      new Date(punch.wall_time),
      punch.time_zone,
      punch.employee_id,
      punch.employee_name,
      punch.department ?? '',
      punch.attendance_type,
      punch.site ?? '',
      punch.device_id ?? '',
      punch.kind,
      punch.notes ?? '',
      String(punch.corrects ?? ''),
      String(punch.is_void),
      String(punch.superseded_by ?? ''),
    ]
}
