import { useTranslation } from 'react-i18next'
import { Tabs } from '../../shared/tabs.tsx'
import { useUrlState } from '../../shared/url-state.ts'
import { Page } from '../page.tsx'
import { CalibrationView } from './calibration-view.tsx'
import { LivenessView } from './liveness-view.tsx'
import { LookAlikesView } from './look-alikes-view.tsx'
import { ModelsView } from './models-view.tsx'

const views = ['models', 'calibration', 'lookAlikes', 'liveness'] as const

/** The face models, how they fit the people here, who is hard to tell apart, and what stops pictures of faces. */
export function RecognitionPage() {
  const { t } = useTranslation()
  const [url] = useUrlState()
  const view = views.find((one) => one === url.view) ?? 'models'
  return (
    <Page title={t('recognition.title')}>
      <Tabs
        label={t('recognition.title')}
        chosen={view}
        parameter="view"
        tabs={views.map((id) => ({ id, label: t(`recognition.views.${id}`) }))}
      />
      {view === 'models' && <ModelsView />}
      {view === 'calibration' && <CalibrationView />}
      {view === 'lookAlikes' && <LookAlikesView />}
      {view === 'liveness' && <LivenessView />}
    </Page>
  )
}
