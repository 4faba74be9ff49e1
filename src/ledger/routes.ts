import { z } from 'zod'
import { sortedBy } from '../database/lists.ts'
import type { Database } from '../database/tables.ts'
import { type App, problems } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import type { Ledger } from './ledger.ts'
import { auditQuery, auditSchema, verifiedSchema } from './schema.ts'

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
