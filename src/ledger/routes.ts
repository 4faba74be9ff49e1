import { z } from 'zod'
import { sortedBy } from '../database/lists.ts'
import type { Database } from '../database/tables.ts'
import { type App, optionalText, problems } from '../shared/http.ts'
import { pageQuery, setPageHeaders, sortBy } from '../shared/paging.ts'
import type { Ledger } from './ledger.ts'

const auditSchema = z
  .object({
    id: z.int(),
    seq: z.int().nullable().describe('Number of its entry in the ledger; null for a change past the program'),
    at: z.date(),
    by: z.string().describe('user:<id>, key:<id>, kiosk:<device_id>, server, cli, or sql:<database user>'),
    action: z
      .string()
      .describe('insert, update or delete of a row, or an act such as export, sign_in, purge'),
    subject_kind: z.string().describe('The table of the row, or what the act was about'),
    subject: z.string().nullable().describe('Which one; null once the person was forgotten'),
    details: z
      .record(z.string(), z.unknown())
      .nullable()
      .describe('before, after, from (address), route, request_id; null once the person was forgotten'),
    mac: z.string().nullable().describe("The entry's link in the chain, hexadecimal"),
  })
  .meta({ id: 'AuditEntry' })

const time = z.iso.datetime({ offset: true }).transform((value) => new Date(value))

const auditQuery = pageQuery.extend({
  from: time.optional().describe('Only from this time on'),
  to: time.optional().describe('Only before this time'),
  by: optionalText(100).describe('Only changes by this author, such as user:3'),
  action: optionalText(100).describe('Only this kind of change'),
  subject_kind: optionalText(100).describe('Only changes of this kind of thing'),
  subject: optionalText(100).describe('Only changes of this one, such as an employee_id'),
  sort: sortBy('id').default('-id').describe('-id: newest first'),
})

const verifiedSchema = z
  .object({
    intact: z.boolean(),
    entries: z.int(),
    head: z.object({ seq: z.int(), mac: z.string() }),
    faults: z.array(
      z.object({
        seq: z.int().nullable(),
        kind: z.enum(['audit', 'punch']),
        row_id: z.int().nullable(),
        what: z.enum(['changed', 'removed', 'inserted', 'chain_broken', 'cut_off', 'unguarded']),
        message: z.string(),
      }),
    ),
  })
  .meta({ id: 'LedgerVerified' })

/** Who changed what, and whether anything was changed past the program. */
export function ledgerRoutes(app: App, { db, ledger }: { db: Database; ledger: Ledger }): void {
  app.get(
    '/audit',
    {
      config: { access: 'audit:read' },
      schema: {
        tags: ['Audit'],
        summary: 'Who changed what, when and from where',
        querystring: auditQuery,
        response: { 200: z.array(auditSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { entries, total } = await listAudit(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return entries
    },
  )

  let verifying: ReturnType<Ledger['verify']> | undefined
  app.get(
    '/audit/verify',
    {
      config: { access: 'audit:read' },
      schema: {
        tags: ['Audit'],
        summary: 'Compare every punch and audit row with the ledger',
        description:
          'Names the first rows that were changed, removed, put in or cut off past the program. Reads everything: about ' +
          'a minute for a million rows. `rollcall verify` does the same.',
        response: { 200: verifiedSchema, ...problems },
      },
    },
    async () => {
      // However many ask, it is read once at a time.
      verifying ??= ledger.verify().finally(() => {
        verifying = undefined
      })
      const verified = await verifying
      return { intact: verified.faults.length === 0, ...verified }
    },
  )
}

function filtersOf(query: z.infer<typeof auditQuery>) {
  const { by, action, subject_kind, subject } = query
  return Object.fromEntries(
    Object.entries({ by, action, subject_kind, subject }).filter(([, wanted]) => wanted != null),
  )
}

async function listAudit(db: Database, query: z.infer<typeof auditQuery>) {
  const rows = db
    .selectFrom('audit_log')
    .leftJoin('ledger', (join) =>
      join.on('ledger.kind', '=', 'audit').onRef('ledger.row_id', '=', 'audit_log.id'),
    )
    .$if(query.from !== undefined, (all) => all.where('at', '>=', query.from as Date))
    .$if(query.to !== undefined, (all) => all.where('at', '<', query.to as Date))
    .where((all) => all.and(filtersOf(query)))
  const { total } = await rows.select(({ fn }) => fn.countAll<string>().as('total')).executeTakeFirstOrThrow()
  const entries = await rows
    .select(['id', 'seq', 'at', 'by', 'action', 'subject_kind', 'subject', 'details', 'mac'])
    .orderBy(sortedBy(query.sort, {} as never))
    .limit(query.limit)
    .offset(query.skip)
    .execute()
  return {
    total: Number(total),
    entries: entries.map(({ mac, ...entry }) => ({
      ...entry,
      id: Number(entry.id),
      seq: entry.seq === null ? null : Number(entry.seq),
      mac: mac === null ? null : Buffer.from(mac).toString('hex'),
    })),
  }
}
