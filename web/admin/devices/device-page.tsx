import { useParams } from '@tanstack/react-router'
import { Page } from '../page.tsx'

export function DevicePage() {
  const { deviceId } = useParams({ from: '/office/admin/devices/$deviceId' })
  return <Page title={deviceId}>{null}</Page>
}
