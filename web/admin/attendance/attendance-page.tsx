import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Tabs } from '../../shared/tabs.tsx'
import { useUrlState } from '../../shared/url-state.ts'
import { Page } from '../page.tsx'
import { useMe } from '../session.ts'
import { DecisionsView } from './decisions-view.tsx'
import { DisputesView } from './disputes-view.tsx'
import { ExplainView } from './explain/explain-view.tsx'
import { ManualDialog } from './manual-dialog.tsx'
import { PunchesView } from './punches-view.tsx'

const views = ['punches', 'decisions', 'disputes'] as const

/**
 * Punches, what was decided at the kiosks, and what is disputed. `?explain=7` explains the punch 7, `?decision=7` a
 * decision.
 */
export function AttendancePage() {
  const { t } = useTranslation()
  const { may } = useMe()
  const [url] = useUrlState()
  const [isEntering, setEntering] = useState(false)
  const view = views.find((one) => one === url.view) ?? 'punches'
  if (url.explain) return <ExplainView path={`/attendance/${encodeURIComponent(url.explain)}/explain`} />
  if (url.decision)
    return <ExplainView path={`/attendance/decisions/${encodeURIComponent(url.decision)}/explain`} />
  return (
    <Page
      title={t('attendance.title')}
      actions={
        may('attendance:write') && (
          <Button look="primary" onClick={() => setEntering(true)}>
            {t('attendance.manual.open')}
          </Button>
        )
      }
    >
      <Tabs
        label={t('attendance.title')}
        chosen={view}
        parameter="view"
        tabs={views.map((id) => ({ id, label: t(`attendance.views.${id}`) }))}
      />
      {view === 'punches' && <PunchesView />}
      {view === 'decisions' && <DecisionsView />}
      {view === 'disputes' && <DisputesView />}
      {isEntering && <ManualDialog onClose={() => setEntering(false)} />}
    </Page>
  )
}
