import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { useErrorText } from '../../shared/error-text.ts'
import { Fact } from '../../shared/fact.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { Empty, Failed, Loading } from '../../shared/states.tsx'
import { Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { type Calibration, useCalibration } from './calibrations.ts'
import { CurvesChart } from './curves-chart.tsx'
import { Lowering } from './lowering.tsx'

/** How the scores of the pack fit the people here, and what follows for the threshold. */
export function CalibrationView() {
  const { t } = useTranslation()
  const { may } = useMe()
  const { newest, history } = useCalibration()
  return (
    <>
      <Card
        title={t('recognition.calibration.title')}
        aside={may('recognition:calibrate') && <CalibrateButton />}
      >
        {newest.data === undefined ? (
          newest.error ? (
            <Failed error={newest.error} onRetry={newest.refetch} />
          ) : (
            <Loading />
          )
        ) : newest.data === null ? (
          <Empty>{t('recognition.calibration.none')}</Empty>
        ) : (
          <Newest calibration={newest.data} />
        )}
      </Card>
      <Card title={t('recognition.calibration.history')}>
        <Table
          caption={t('recognition.calibration.history')}
          rows={{ ...history, data: history.data?.rows }}
          rowKey={({ id }) => id}
          empty={t('recognition.calibration.none')}
          columns={[
            { id: 'id', header: t('recognition.calibration.number'), cell: ({ id }) => `#${id}` },
            {
              id: 'made',
              header: t('recognition.calibration.made'),
              cell: ({ made_at }) => <span className="tabular-nums">{dateTime(made_at)}</span>,
            },
            { id: 'pack', header: t('recognition.packs.pack'), cell: ({ pack }) => pack },
            {
              id: 'people',
              header: t('recognition.status.people'),
              alignRight: true,
              cell: ({ people }) => number(people),
            },
            {
              id: 'threshold',
              header: t('recognition.thresholds.site'),
              alignRight: true,
              cell: ({ threshold }) => (threshold === null ? '–' : number(threshold, 3)),
            },
            {
              id: 'accepted',
              header: t('recognition.lowering.accepted'),
              cell: ({ accepted_at }) => (accepted_at === null ? '–' : dateTime(accepted_at)),
            },
          ]}
        />
      </Card>
    </>
  )
}

function CalibrateButton() {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const tell = useToast()
  const queries = useQueryClient()
  const calibrate = useMutation({
    mutationFn: () => api<Calibration>('/recognition/calibration', { method: 'POST' }),
    onSuccess: (calibration) => {
      queries.setQueryData(['calibration'], calibration)
      queries.invalidateQueries({ queryKey: ['calibrations'] })
      queries.invalidateQueries({ queryKey: ['models-status'] })
      tell(t('recognition.calibration.done'))
    },
    onError: (error) => tell(errorText(error), 'bad'),
  })
  return (
    <Button busy={calibrate.isPending} onClick={() => calibrate.mutate()}>
      {t(calibrate.isPending ? 'recognition.calibration.running' : 'recognition.calibration.now')}
    </Button>
  )
}

const terms = ['configured', 'pack', 'site'] as const

function Newest({ calibration }: { calibration: Calibration }) {
  const { t } = useTranslation()
  const { thresholds, fpir, curves, people, compared, comparisons, scale, made_at, id } = calibration
  const { in_force, site, site_interval } = thresholds
  const decides = thresholds.lowered
    ? 'lowered'
    : terms.find((term) => thresholds[term] === in_force && term !== 'site')
  const strangers = (share: number) => number(1000 * share, 1000 * share < 10 ? 1 : 0)
  return (
    <div className="flex flex-col gap-5 p-4">
      <p className="text-lg">
        {t('recognition.calibration.says', {
          threshold: number(in_force, 3),
          why: t(`recognition.calibration.because.${decides ?? 'site'}`),
        })}{' '}
        {fpir
          ? t('recognition.calibration.strangers', {
              predicted: strangers(fpir.predicted),
              from: strangers(fpir.interval[0]),
              to: strangers(fpir.interval[1]),
              target: strangers(fpir.target),
            })
          : t('recognition.calibration.tooFew')}
      </p>
      {fpir && (
        <p>
          {fpir.predicted <= fpir.target ? (
            <Badge tone="good" symbol="✓">
              {t('recognition.calibration.within')}
            </Badge>
          ) : (
            <Badge tone="warn" symbol="!">
              {t('recognition.calibration.beyond')}
            </Badge>
          )}
        </p>
      )}
      {curves && <CurvesChart curves={curves.minus_log10_fmr} thresholds={thresholds} />}
      <dl className="grid grid-cols-2 gap-x-8 gap-y-4 sm:grid-cols-4">
        <Fact label={t('recognition.thresholds.inForce')}>{number(in_force, 3)}</Fact>
        <Fact label={t('recognition.thresholds.configured')}>{number(thresholds.configured, 3)}</Fact>
        <Fact label={t('recognition.thresholds.pack')}>{number(thresholds.pack, 3)}</Fact>
        <Fact
          label={t('recognition.thresholds.site')}
          hint={site_interval && `95%: ${number(site_interval[0], 3)}–${number(site_interval[1], 3)}`}
        >
          {site === null ? '–' : number(site, 3)}
        </Fact>
        <Fact label={t('recognition.status.people')}>{number(people)}</Fact>
        <Fact
          label={t('recognition.calibration.comparisons')}
          hint={t('recognition.calibration.compared', { people: number(compared) })}
        >
          {number(comparisons)}
        </Fact>
        <Fact label={t('recognition.status.scale')}>
          {scale ? t(`recognition.status.scales.${scale}`) : '–'}
        </Fact>
        <Fact label={t('recognition.calibration.made')} hint={`#${id}`}>
          {dateTime(made_at)}
        </Fact>
      </dl>
      <Lowering calibration={calibration} />
    </div>
  )
}
