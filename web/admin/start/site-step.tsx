import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { siteChangesSchema } from '../../../src/sites/schema.ts'
import { faultOf, type Sent } from '../../shared/api.ts'
import { Field } from '../../shared/field.tsx'
import { typed } from '../../shared/form-dialog.tsx'
import { api } from '../session.ts'
import type { Site } from '../sites.ts'
import { TimeZoneField } from '../time-zone-field.tsx'
import { StepForm } from './step-form.tsx'

/** Names the site that each server begins with, and its time zone: days and shifts are counted by it. */
export function SiteStep({
  site,
  isDone,
  onDone,
}: {
  site: Site | undefined
  isDone: boolean
  onDone: () => void
}) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const save = useMutation({
    mutationFn: (body: Sent<typeof siteChangesSchema> & { name: string }) =>
      site ? api(`/sites/${site.id}`, { method: 'PATCH', body }) : api('/sites', { method: 'POST', body }),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ['sites'] })
      onDone()
    },
  })
  const fault = (field: string) => faultOf(save.error, field)
  return (
    <StepForm
      title={t('start.steps.site')}
      about={t('start.siteAbout')}
      act={t('start.saveAndGoOn')}
      busy={save.isPending}
      error={fault('time_zone') ? undefined : save.error}
      isDone={isDone}
      onSubmit={(form) => save.mutate({ name: typed(form, 'name'), time_zone: typed(form, 'time_zone') })}
      onSkip={onDone}
    >
      <Field
        label={t('start.siteName')}
        hint={t('start.siteNameHint')}
        error={fault('name')}
        name="name"
        defaultValue={site?.name}
        maxLength={200}
        required
        autoFocus
      />
      <TimeZoneField
        hint={t('start.zoneHint')}
        error={fault('time_zone')}
        defaultValue={site?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone}
        required
      />
    </StepForm>
  )
}
