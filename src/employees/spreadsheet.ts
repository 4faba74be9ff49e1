import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { CsvError, parse } from 'csv-parse/sync'
import type { FastifyReply } from 'fastify'
import { writeCsvStream } from 'hucre/csv'
import { readXlsx, type Sheet, writeXlsxStream } from 'hucre/xlsx'
import { z } from 'zod'
import { AppError } from '../shared/errors.ts'
import { invalidField } from '../shared/http.ts'

/** One row of a file as texts, missing ones empty. `problem` says what in it cannot be read. */
export interface TableRow {
  cells: string[]
  problem?: string
}

export const MAX_FILE_BYTES = 5 * 1024 * 1024
/** People in one file; the header is not counted. */
export const MAX_ROWS = 10_000
const MAX_COLUMNS = 100
/** What an XLSX file may unpack to; 10,000 people take a tenth of it. */
const MAX_UNPACKED_BYTES = 48 * 1024 * 1024

// ---------------------------------------------------------------- writing

const contentTypes = {
  csv: 'text/csv; charset=utf-8',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
}

/** Query parameters of every export. */
export const fileQuery = {
  format: z.enum(['csv', 'xlsx']).default('csv'),
  separator: z
    .enum([';', ','])
    .default(';')
    .describe('Of CSV. Excel expects the semicolon where the comma is a decimal sign, as in Vietnam'),
}

/** Answers rows, the header first, as a file to keep. */
export function sendFile(
  reply: FastifyReply,
  name: string,
  header: readonly string[],
  rows: WrittenRows,
  { format, separator }: { format: 'csv' | 'xlsx'; separator: ';' | ',' },
): FastifyReply {
  const all = withHeader(header, rows)
  return reply
    .type(contentTypes[format])
    .header('content-disposition', `attachment; filename="${name}.${format}"`)
    .header('cache-control', 'private, no-store')
    .send(format === 'csv' ? toCsv(all, separator) : toXlsx(name, header, all))
}

async function* withHeader(header: readonly string[], rows: WrittenRows) {
  yield header
  yield* rows
}

/**
 * Makes a cell harmless. A spreadsheet program takes a text that begins with one of these characters for a formula,
 * and a formula in the name of a person may send the whole sheet elsewhere or start a program of whoever opens it.
 * Behind an apostrophe it stays a text. A text that looks guarded already gets one more, so that `unguard` gives back
 * exactly what was there.
 */
export function guard(text: string): string {
  return /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text
}

/** Takes away the apostrophe that `guard` wrote. */
export function unguard(text: string): string {
  return /^''*[=+\-@\t\r]/.test(text) ? text.slice(1) : text
}

/** A cell that is written: a text, or the time on the wall, given as if it were UTC. */
export type WrittenCell = string | Date
type WrittenRows = AsyncIterable<readonly WrittenCell[]> | Iterable<readonly WrittenCell[]>

/**
 * CSV as Excel opens it right: a byte order mark to tell UTF-8, and, unless another one is asked for, semicolons, which
 * it expects where the comma is a decimal sign. Times stand as 2025-03-03 08:00:00, which it reads everywhere.
 */
function toCsv(rows: WrittenRows, separator: ';' | ','): Readable {
  const text = (cell: WrittenCell) => guard(cell instanceof Date ? wallTime(cell) : cell)
  return Readable.fromWeb(
    writeCsvStream(inSlices(rows, text), { delimiter: separator, bom: true }) as WebStream,
  )
}

/**
 * XLSX with one sheet, whose first row stays in sight. Texts are guarded as in CSV, because a sheet is easily saved as
 * CSV later; times, below a heading of that name, are dates that the program can reckon with.
 */
function toXlsx(name: string, header: readonly string[], rows: WrittenRows): Readable {
  const cell = (value: WrittenCell) => (value instanceof Date ? value : guard(value))
  const columns = header.map((heading) => ({
    width: 22,
    ...(heading === 'time' && { numFmt: 'yyyy-mm-dd hh:mm:ss' }),
  }))
  return Readable.fromWeb(
    writeXlsxStream(inSlices(rows, cell), { name, columns, freezePane: { rows: 1 } }) as WebStream,
  )
}

type WebStream = Parameters<typeof Readable.fromWeb>[0]

const wallTime = (time: Date) => time.toISOString().slice(0, 19).replace('T', ' ')

/** Rows as they are asked for, with a breath now and then: ten thousand of them must not keep everybody else waiting. */
async function* inSlices<To>(rows: WrittenRows, toCell: (cell: WrittenCell) => To) {
  let count = 0
  for await (const row of rows) {
    if (++count % 100 === 0) await setImmediate()
    yield row.map(toCell)
  }
}

// ---------------------------------------------------------------- reading

/** The rows of a CSV or XLSX file, told apart by what they hold. Refuses what cannot be read, and says what to do. */
export async function readTable(file: Uint8Array): Promise<TableRow[]> {
  if (file.length > MAX_FILE_BYTES)
    throw new AppError('upload_too_large', 'The file is too large: at most 5 MB are taken.', {
      max_bytes: MAX_FILE_BYTES,
    })
  const rows = isZip(file) ? await readSheet(file) : readCsv(decode(file))
  while (rows.length > 0 && isEmpty(rows.at(-1)!)) rows.pop()
  if (rows.length > MAX_ROWS + 1)
    throw invalidField('file', `has more than ${MAX_ROWS} rows: import it in parts`)
  if (rows.some(({ cells }) => cells.length > MAX_COLUMNS))
    throw invalidField('file', `has more than ${MAX_COLUMNS} columns`)
  return rows.map(({ cells, problem }) => ({ cells: cells.map(unguard), problem }))
}

export function isEmpty({ cells, problem }: TableRow): boolean {
  return problem === undefined && cells.every((cell) => cell.trim() === '')
}

function isZip(file: Uint8Array): boolean {
  return Buffer.from(file.subarray(0, 4)).equals(Buffer.from('PK\x03\x04', 'latin1'))
}

function decode(file: Uint8Array): string {
  const [first, second] = file
  if (first === 0xd0 && second === 0xcf)
    throw invalidField(
      'file',
      'is an old or encrypted Excel file: save it as XLSX without a password, or as CSV UTF-8',
    )
  try {
    const utf16 =
      first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff && 'utf-16be'
    const text = new TextDecoder(utf16 || 'utf-8', { fatal: true }).decode(file)
    if (!text.includes('\0')) return text
  } catch {
    // Said below.
  }
  throw invalidField('file', 'is not a text in UTF-8: save it as "CSV UTF-8", or as XLSX')
}

function readCsv(text: string): TableRow[] {
  try {
    const rows: string[][] = parse(text, {
      delimiter: delimiterOf(text),
      relax_column_count: true,
      skip_empty_lines: false,
      // One more than is taken, so that too many are seen.
      to: MAX_ROWS + 2,
    })
    return rows.map((cells) => ({ cells }))
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw invalidField(
      'file',
      `is not valid CSV: a quotation mark is wrong or missing near line ${Number(error.lines) || 1}`,
    )
  }
}

/** The semicolon, comma or tabulator that the header has most of, outside of quotation marks. */
function delimiterOf(text: string): string {
  const header = /^[^\r\n]*/.exec(text)![0].replace(/"[^"]*"/g, '')
  const count = (delimiter: string) => header.split(delimiter).length
  return [',', ';', '\t'].reduce((best, one) => (count(one) > count(best) ? one : best))
}

async function readSheet(file: Uint8Array): Promise<TableRow[]> {
  refuseZipBomb(file)
  let sheet: Sheet | undefined
  try {
    const range = `A1:${columnName(MAX_COLUMNS)}${MAX_ROWS + 2}`
    sheet = (await readXlsx(file, { sheets: [0], range })).sheets[0]
  } catch {
    // Only what was sent can fail here, and the reader's own words are for programmers.
  }
  if (!sheet) throw invalidField('file', 'is not a readable XLSX file: save it again, or as CSV UTF-8')
  return sheet.rows.map((values, row) => {
    const problems = values.flatMap((value, column) => {
      const cell = sheet.cells?.get(`${row},${column}`)
      const broken = cell?.type === 'error' || (cell?.type === 'formula' && value === null)
      return broken
        ? `${columnName(column)}${row + 1}: holds a formula without a result; replace it by its value`
        : []
    })
    return { cells: values.map(textOf), problem: problems[0] }
  })
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  return value instanceof Date ? value.toISOString().slice(0, 10) : String(value)
}

/** 0 is A, 26 is AA. */
function columnName(index: number): string {
  const letter = String.fromCharCode(65 + (index % 26))
  return index < 26 ? letter : columnName(Math.floor(index / 26) - 1) + letter
}

/**
 * Refuses an archive that says it unpacks to more than a list of people needs; what it says is held to while unpacking.
 * One that does not say it is refused as well.
 */
function refuseZipBomb(file: Uint8Array): void {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const refused = invalidField('file', 'is not a plain XLSX file: save it again, or as CSV UTF-8')
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  if (end < 0 || end + 22 > bytes.length) throw refused
  // ZIP64 keeps its own list elsewhere; a file of 5 MB has no need of it.
  if (bytes.readUInt16LE(end + 10) === 0xffff || bytes.readUInt32LE(end + 12) === 0xffffffff) throw refused
  let unpacked = 0
  let at = bytes.readUInt32LE(end + 16)
  for (let entries = bytes.readUInt16LE(end + 10); entries > 0; entries--) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== 0x02014b50) throw refused
    const [packedSize, unpackedSize] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 24)]
    const sizesComeLater = (bytes.readUInt16LE(at + 8) & 8) !== 0 && packedSize === 0
    if (sizesComeLater || (unpackedSize === 0 && packedSize > 2)) throw refused
    unpacked += unpackedSize
    if (unpacked > MAX_UNPACKED_BYTES)
      throw new AppError('upload_too_large', 'The file unpacks to more than a list of people needs.')
    at += 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
  }
}
