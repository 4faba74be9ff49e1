import { useTranslation } from 'react-i18next'
import { number } from '../../../shared/i18n.ts'
import { Table } from '../../../shared/table.tsx'
import { Card } from '../../page.tsx'
import { confidenceFigure } from '../marks.tsx'
import { useCandidateName } from './candidate-name.ts'
import type { Explanation } from './explain-view.tsx'

/** Each picture of a check that came with several. */
export function FramesCard({ frames }: { frames: Explanation['frames'] }) {
  const { t } = useTranslation()
  const nameOf = useCandidateName()
  return (
    <Card title={t('attendance.frames.title', { count: frames.length })}>
      <Table
        caption={t('attendance.frames.title', { count: frames.length })}
        rows={{ data: frames.map((frame, index) => ({ ...frame, number: index + 1 })), error: null }}
        rowKey={({ number: place }) => place}
        empty={null}
        columns={[
          { id: 'number', header: t('attendance.frames.number'), cell: ({ number: place }) => place },
          {
            id: 'at',
            header: t('attendance.frames.at'),
            cell: ({ at_ms }) => (at_ms === null ? '–' : `${number(at_ms)} ms`),
          },
          {
            id: 'kind',
            header: t('attendance.frames.kind'),
            cell: ({ kind }) => (kind ? t(`attendance.frames.kinds.${kind as 'face'}`) : '–'),
          },
          {
            id: 'quality',
            header: t('attendance.quality.title'),
            cell: ({ quality }) => (quality === null ? '–' : number(quality, 2)),
          },
          {
            id: 'votes',
            header: t('attendance.frames.votes'),
            cell: ({ votes }) => (votes ? `${nameOf(votes)} · ${confidenceFigure(votes.confidence)}` : '–'),
          },
        ]}
      />
    </Card>
  )
}
