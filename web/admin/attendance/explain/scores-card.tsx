import { useTranslation } from 'react-i18next'
import { decades } from '../../../shared/confidence-axis.tsx'
import { number } from '../../../shared/i18n.ts'
import { Table } from '../../../shared/table.tsx'
import { Card } from '../../page.tsx'
import { confidenceFigure } from '../marks.tsx'
import { type Candidate, useCandidateName } from './candidate-name.ts'
import type { Explanation } from './explain-view.tsx'
import { ScoreChart } from './score-chart.tsx'

/** Whom the face was compared with: as a picture, and as a table. */
export function ScoresCard({ explanation }: { explanation: Explanation }) {
  const { t } = useTranslation()
  const { candidates, people, margin } = explanation
  const nameOf = useCandidateName()
  const hasScores = candidates.some(({ score }) => score !== undefined)
  return (
    <Card
      title={t('attendance.scores.title')}
      aside={
        people !== null && (
          <span className="text-muted text-sm">
            {t('attendance.scores.people', { count: people, total: number(people) })}
          </span>
        )
      }
    >
      <div className="flex flex-col gap-3 p-4">
        <ScoreChart explanation={explanation} />
        {margin !== null && (
          <p className="text-muted text-sm">
            {t('attendance.scores.ahead', {
              margin: number(margin, 2),
              times: decades(margin),
            })}
          </p>
        )}
        {candidates.some(({ extrapolated }) => extrapolated) && (
          <p className="text-muted text-sm">{t('attendance.scores.extrapolated')}</p>
        )}
      </div>
      <details className="border-line border-t">
        <summary className="px-4 py-3 font-medium">{t('attendance.scores.table')}</summary>
        <Table
          caption={t('attendance.scores.title')}
          rows={{ data: candidates, error: null }}
          rowKey={({ rank }) => rank}
          empty={null}
          columns={[
            { id: 'person', header: t('attendance.person'), cell: nameOf },
            {
              id: 'confidence',
              header: t('attendance.confidence.title'),
              alignRight: true,
              cell: ({ confidence }) => (confidence === null ? '–' : number(confidence, 3)),
            },
            {
              id: 'margin',
              header: t('attendance.scores.margin'),
              alignRight: true,
              cell: ({ margin: needed, look_alike }) =>
                needed === null ? '–' : `${confidenceFigure(needed)}${look_alike ? ' ≈' : ''}`,
            },
            ...(hasScores
              ? [
                  {
                    id: 'score',
                    header: t('attendance.scores.score'),
                    alignRight: true,
                    cell: ({ score }: Candidate) => (score === undefined ? '–' : number(score, 3)),
                  },
                  {
                    id: 'raw',
                    header: t('attendance.scores.raw'),
                    alignRight: true,
                    cell: ({ raw_score }: Candidate) =>
                      raw_score === undefined ? '–' : number(raw_score, 3),
                  },
                  {
                    id: 'template',
                    header: t('attendance.scores.template'),
                    alignRight: true,
                    cell: ({ template_id }: Candidate) => template_id ?? '–',
                  },
                ]
              : []),
          ]}
        />
      </details>
    </Card>
  )
}
