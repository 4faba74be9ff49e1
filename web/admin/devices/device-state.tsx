import { useTranslation } from 'react-i18next'
import type { deviceSchema } from '../../../src/devices/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge, type Tone } from '../../shared/badge.tsx'

type State = Answer<typeof deviceSchema>['state']

const tones: Record<State, [Tone, string]> = {
  online: ['good', '●'],
  late: ['warn', '◐'],
  offline: ['bad', '○'],
}

/** Whether a kiosk has told lately that it is alive. */
export function DeviceState({ state }: { state: State }) {
  const { t } = useTranslation()
  const [tone, symbol] = tones[state]
  return (
    <Badge tone={tone} symbol={symbol}>
      {t(`deviceState.${state}`)}
    </Badge>
  )
}
