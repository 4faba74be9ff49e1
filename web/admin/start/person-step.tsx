import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type { newEmployeeSchema } from '../../../src/employees/schema.ts'
import { faultOf, type Sent } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Field } from '../../shared/field.tsx'
import { typed } from '../../shared/form-dialog.tsx'
import { api } from '../session.ts'
import type { Employee, Progress } from './progress.ts'
import { StepForm } from './step-form.tsx'

/** Makes the first person, whose photos are then added on their own page. */
export function PersonStep({ progress, onDone }: { progress: Progress; onDone: () => void }) {
  const [first] = progress.employees
  return first ? <Enrol person={first} onDone={onDone} /> : <Add onSkip={onDone} />
}

function Add({ onSkip }: { onSkip: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const add = useMutation({
    mutationFn: (body: Sent<typeof newEmployeeSchema>) =>
      api<Employee>('/employees', { method: 'POST', body }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['employees'] }),
  })
  const fault = (field: string) => faultOf(add.error, field)
  return (
    <StepForm
      title={t('start.steps.person')}
      about={t('start.personAbout')}
      act={t('start.addPerson')}
      busy={add.isPending}
      error={fault('employee_id') ? undefined : add.error}
      isDone={false}
      onSubmit={(form) =>
        add.mutate({ name: typed(form, 'name'), employee_id: typed(form, 'employee_id') || undefined })
      }
      onSkip={onSkip}
    >
      <Field
        label={t('start.personName')}
        error={fault('name')}
        name="name"
        maxLength={200}
        autoComplete="off"
        required
        autoFocus
      />
      <Field
        label={t('start.personId')}
        hint={t('start.personIdHint')}
        error={fault('employee_id')}
        name="employee_id"
        maxLength={64}
        autoComplete="off"
      />
    </StepForm>
  )
}

function Enrol({ person, onDone }: { person: Employee; onDone: () => void }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  return (
    <div className="flex max-w-xl flex-col gap-4">
      <h2 className="font-semibold text-xl">{t('start.enrol', { name: person.name })}</h2>
      <p className="text-muted">{t('start.enrolAbout')}</p>
      <div className="flex flex-wrap gap-3">
        <Button
          look="primary"
          onClick={() =>
            navigate({ to: '/admin/employees/$employeeId', params: { employeeId: person.employee_id } })
          }
        >
          {t('start.enrolNow')}
        </Button>
        <Button look="quiet" onClick={onDone}>
          {t('start.goOn')}
        </Button>
      </div>
    </div>
  )
}
