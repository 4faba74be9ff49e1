import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from './button.tsx'
import { number } from './i18n.ts'
import { Empty, Failed, Loading } from './states.tsx'

export interface Column<Row> {
  /** Unique in its table. */
  id: string
  header: ReactNode
  cell: (row: Row) => ReactNode
  /** Of a number, say. */
  alignRight?: boolean
  /** Where the list can be sorted by it: how it is now, undefined for by something else, and what a click does. */
  sort?: { order: 'ascending' | 'descending' | undefined; onSort: () => void }
}

/** What a query says of the rows: those of TanStack Query fit. */
interface Rows<Row> {
  data: Row[] | undefined
  error: unknown
  refetch?: () => unknown
}

interface TableProps<Row> {
  /** What the table shows, for those who do not see it. */
  caption: string
  columns: Column<Row>[]
  rows: Rows<Row>
  rowKey: (row: Row) => string | number
  /** What is said where there are no rows. */
  empty: ReactNode
}

/** A list as a table; on a narrow screen each row is a card. */
export function Table<Row>({ caption, columns, rows, rowKey, empty }: TableProps<Row>) {
  if (rows.data === undefined)
    return rows.error ? <Failed error={rows.error} onRetry={() => rows.refetch?.()} /> : <Loading />
  if (rows.data.length === 0) return <Empty>{empty}</Empty>
  // The roles are said once more: a browser forgets them where a table is not laid out as one.
  return (
    <table role="table" className="w-full text-left max-sm:block">
      <caption className="sr-only">{caption}</caption>
      <thead role="rowgroup" className="border-line border-b text-muted text-sm max-sm:sr-only">
        <tr role="row">
          {columns.map(({ id, header, alignRight, sort }) => (
            <th
              key={id}
              role="columnheader"
              scope="col"
              aria-sort={sort?.order}
              className={`px-4 py-2 font-medium ${alignRight ? 'text-right' : ''}`}
            >
              {sort ? (
                <>
                  {/* Where the headers are not to be seen, there is nothing to click at. */}
                  <span className="sm:hidden">{header}</span>
                  <button
                    type="button"
                    onClick={sort.onSort}
                    className="-mx-1 whitespace-nowrap rounded px-1 py-1 hover:text-ink max-sm:hidden"
                  >
                    {header}
                    <span aria-hidden="true" className={sort.order ? 'text-ink' : 'opacity-50'}>
                      {sort.order === 'ascending' ? ' ↑' : sort.order === 'descending' ? ' ↓' : ' ↕'}
                    </span>
                  </button>
                </>
              ) : (
                header
              )}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup" className="max-sm:block">
        {rows.data.map((row) => (
          <tr
            key={rowKey(row)}
            role="row"
            className="border-line border-b last:border-0 max-sm:block max-sm:py-2"
          >
            {columns.map(({ id, header, cell, alignRight }) => (
              <td
                key={id}
                role="cell"
                className={`px-4 py-2.5 align-middle max-sm:flex max-sm:justify-between max-sm:gap-4 max-sm:py-1 ${alignRight ? 'text-right tabular-nums' : ''}`}
              >
                <span aria-hidden="true" className="max-w-1/2 shrink-0 text-muted text-sm sm:hidden">
                  {header}
                </span>
                <div className="min-w-0 max-sm:text-right">{cell(row)}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

interface PagerProps {
  skip: number
  limit: number
  total: number
  onSkip: (skip: number) => void
}

/** Which part of a long list is shown, and the way to the others. */
export function Pager({ skip, limit, total, onSkip }: PagerProps) {
  const { t } = useTranslation()
  if (total <= limit && skip === 0) return null
  return (
    <nav
      aria-label={t('common.pages')}
      className="flex flex-wrap items-center justify-between gap-3 px-4 py-3"
    >
      <p className="text-muted text-sm">
        {t('common.range', {
          from: number(skip + 1),
          to: number(Math.min(skip + limit, total)),
          total: number(total),
        })}
      </p>
      <div className="flex gap-2">
        <Button disabled={skip === 0} onClick={() => onSkip(Math.max(0, skip - limit))}>
          {t('common.previous')}
        </Button>
        <Button disabled={skip + limit >= total} onClick={() => onSkip(skip + limit)}>
          {t('common.next')}
        </Button>
      </div>
    </nav>
  )
}
