import { z } from 'zod'
import { optionalText } from '../shared/http.ts'
import { pageQuery, sortBy } from '../shared/paging.ts'

export const auditSchema = z
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

export const auditQuery = pageQuery.extend({
  from: time.optional().describe('Only from this time on'),
  to: time.optional().describe('Only before this time'),
  by: optionalText(100).describe('Only changes by this author, such as user:3'),
  action: optionalText(100).describe('Only this kind of change'),
  subject_kind: optionalText(100).describe('Only changes of this kind of thing'),
  subject: optionalText(100).describe('Only changes of this one, such as an employee_id'),
  sort: sortBy('id').default('-id').describe('-id: newest first'),
})

export const verifiedSchema = z
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
